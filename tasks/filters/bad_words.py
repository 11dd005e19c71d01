"""Leave out texts with words that a corpus must not hold."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.filters.lists import Listed, lines
from tasks.text.segment import SPACELESS


class BadWordsParams(Listed):
    """``clean.filters: [{bad_words: {words: {en: [...]}}}]``; no list comes with it."""

    words: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="by language; `*` for any. A word may be several, with spaces between them"
    )
    files: dict[str, str] = Field(default_factory=dict, description="by language, a file or store URL, one word a line")
    max_words: int = Field(0, ge=0, description="so many may occur")

    def lists(self) -> Iterable[str]:
        """Where the lists lie."""
        return self.files.values()


@FILTERS.register("bad_words")
class BadWords:
    """Drops ``bad_words.words``: how many occur. In capitals or not; within other words only where a language
    is written without spaces."""

    Params = BadWordsParams
    MEASURES = ("words",)

    def __init__(self, params: BadWordsParams) -> None:
        self._most = params.max_words
        self._patterns: dict[str, re.Pattern[str]] = {}
        for language in {*params.words, *params.files}:
            words = {*params.words.get(language, ())}
            if language in params.files:
                words.update(lines([params.files[language]]))
            if words:
                # The longest first: of two that begin alike, the alternative that stands first is taken.
                any_of = "|".join(re.escape(word.lower()) for word in sorted(words, key=lambda w: (-len(w), w)))
                whole = any_of if language in SPACELESS else rf"(?<!\w)(?:{any_of})(?!\w)"
                self._patterns[language] = re.compile(whole)

    def judge(self, document: Document) -> Verdict:
        low = document.text.lower()
        patterns = [self._patterns[key] for key in (document.language, "*") if key in self._patterns]
        count = sum(1 for pattern in patterns for _ in pattern.finditer(low))
        if count > self._most:
            return Verdict("words", count)
        return Verdict(measured={"words": count})
