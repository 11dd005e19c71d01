"""Keep documents of a useful length."""

from __future__ import annotations

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.section import Section


class LengthParams(Section):
    """``clean.filters: [{length: {min_words: 50}}]``"""

    min_characters: int = Field(0, ge=0, description="of the text, space included")
    max_characters: int | None = Field(None, ge=1, description="no limit by default")
    min_words: int = Field(0, ge=0, description="runs of non-space")
    max_words: int | None = Field(None, ge=1, description="no limit by default")


@FILTERS.register("length")
class Length:
    """Drops ``length.characters`` and ``length.words``."""

    Params = LengthParams
    MEASURES = ("characters", "words")

    def __init__(self, params: LengthParams) -> None:
        self._params = params

    def judge(self, document: Document) -> Verdict:
        limits, characters, words = self._params, len(document.text), len(document.words)
        if not limits.min_characters <= characters <= (limits.max_characters or characters):
            return Verdict("characters", characters)
        if not limits.min_words <= words <= (limits.max_words or words):
            return Verdict("words", words)
        return Verdict(measured={"characters": characters, "words": words})
