"""Keep documents of a useful length."""

from __future__ import annotations

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.filters.languages import ByLanguage
from tasks.text.segment import SPACELESS


class LengthParams(ByLanguage):
    """``clean.filters: [{length: {min_words: 50}}]``"""

    min_characters: int = Field(0, ge=0, description="of the text, space included")
    max_characters: int | None = Field(None, ge=1, description="no limit by default")
    min_words: int = Field(0, ge=0, description="runs of non-space; of languages without spaces as in gopher_quality")
    max_words: int | None = Field(None, ge=1, description="no limit by default")


@FILTERS.register("length")
class Length:
    """Drops ``length.characters`` and ``length.words``."""

    Params = LengthParams
    MEASURES = ("characters", "words")

    def __init__(self, params: LengthParams) -> None:
        self._params = params.prepared(lambda each: each)

    def judge(self, document: Document) -> Verdict:
        limits, characters, words = self._params(document.language), len(document.text), _words(document)
        if not limits.min_characters <= characters <= (limits.max_characters or characters):
            return Verdict("characters", characters)
        if not limits.min_words <= words <= (limits.max_words or words):
            return Verdict("words", words)
        return Verdict(measured={"characters": characters, "words": words})


def _words(document: Document) -> int:
    if document.language in SPACELESS:
        return int((~document.tokens.marks).sum())
    return len(document.words)
