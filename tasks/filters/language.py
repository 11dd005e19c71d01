"""Keep the languages that a corpus is about, where the model is sure enough."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.section import Section


class LanguageParams(Section):
    """``clean.filters: [{language: {keep: [en]}}]``"""

    keep: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], ...] = Field(
        (), description="ISO 639 codes, as in en or de; any language when empty"
    )
    min_score: float = Field(0.65, ge=0, le=1, description="probability below which the language counts as unknown")


@FILTERS.register("language")
class Language:
    """Drops ``language.unwanted`` (value: its code) and ``language.uncertain`` (value: its probability)."""

    Params = LanguageParams
    MEASURES = ("score",)
    REASONS: ClassVar[dict[str, str]] = {"score": "uncertain"}

    def __init__(self, params: LanguageParams) -> None:
        self._keep = frozenset(params.keep)
        self._min_score = params.min_score

    def judge(self, document: Document) -> Verdict:
        if self._keep and document.language not in self._keep:
            return Verdict("unwanted", document.language)
        if document.language_score < self._min_score:
            return Verdict("uncertain", document.language_score)
        return Verdict(measured={"score": document.language_score})
