"""Take out the lines that are no sentences of the page: menus, notices, cookies. The line rules of C4.

Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
section 2.2. What is left is for the next filters; `c4` judges the page.
"""

from __future__ import annotations

import re

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.filters.c4 import NOTICES, TERMINAL
from tasks.section import Section

_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")


class C4LinesParams(Section):
    """``clean.filters: [{c4_lines: {unterminated: true}}]``"""

    min_words: int = Field(3, ge=0, description="shorter lines go; runs of non-space")
    longest_word: int = Field(1000, ge=1, description="lines with a longer word go; characters")
    unterminated: bool = Field(False, description="keep lines that end no sentence too, as FineWeb does")
    notices: tuple[str, ...] = Field(NOTICES, description="lines with one of these go, in capitals or not")
    citations: bool = Field(True, description="take out marks as in [1], [edit] and [citation needed]")


@FILTERS.register("c4_lines")
class C4Lines:
    """Drops nothing; a text may be empty after it."""

    Params = C4LinesParams
    MEASURES = ("removed_lines",)
    CHANGES_TEXT = True

    def __init__(self, params: C4LinesParams) -> None:
        self._params = params
        self._notices = tuple(notice.lower() for notice in params.notices)

    def judge(self, document: Document) -> Verdict:
        text = document.text
        if self._params.citations and "[" in text:
            text = _CITATION.sub("", text)
        low = text.lower()
        # Most texts hold none of them, and then no line is asked.
        notices = tuple(notice for notice in self._notices if notice in low)
        lines = [line.strip() for line in text.split("\n")]
        kept = [line for line in lines if self._stays(line, notices)]
        removed = sum(1 for line in lines if line) - len(kept)
        return Verdict(measured={"removed_lines": removed}, text="\n".join(kept))

    def _stays(self, line: str, notices: tuple[str, ...]) -> bool:
        rules = self._params
        if not rules.unterminated and (not line.endswith(TERMINAL) or line.endswith("...")):
            return False
        words = line.split(None, rules.min_words)
        if len(words) < max(rules.min_words, 1):
            return False
        if len(line) > rules.longest_word and max(map(len, line.split())) > rules.longest_word:
            return False
        return not notices or not any(notice in line.lower() for notice in notices)
