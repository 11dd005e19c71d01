"""Take out the lines that are no sentences of the page: menus, notices, cookies. The line rules of C4.

Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
section 2.2. What is left is for the next filters; `c4` judges the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.filters.c4 import NOTICES, TERMINAL, UNTERMINATED
from tasks.filters.languages import ByLanguage, Overrides, overrides
from tasks.text.scripts import apart
from tasks.text.segment import CLUSTERED, SPACELESS

_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")


class C4LinesParams(ByLanguage):
    """``clean.filters: [{c4_lines: {unterminated: true}}]``"""

    min_words: int = Field(3, ge=0, description="shorter lines go; words as those of length")
    longest_word: int = Field(1000, ge=1, description="lines with a longer word go; characters")
    unterminated: bool = Field(False, description="keep lines that end no sentence too, as FineWeb does")
    notices: tuple[str, ...] = Field(NOTICES, description="lines with one of these go, in capitals or not")
    citations: bool = Field(True, description="take out marks as in [1], [edit] and [citation needed]")
    languages: Overrides = overrides({CLUSTERED: {"min_words": 6}, UNTERMINATED: {"unterminated": True}})


@FILTERS.register("c4_lines")
class C4Lines:
    """Drops nothing itself; a text of which no line is left is dropped as `empty`."""

    Params = C4LinesParams
    MEASURES = ("removed_lines",)
    CHANGES_TEXT = True

    def __init__(self, params: C4LinesParams) -> None:
        self._rules = params.prepared(lambda each: (each, tuple(notice.lower() for notice in each.notices)))

    def judge(self, document: Document) -> Verdict:
        text = document.text
        rules, listed = self._rules(document.language)
        if rules.citations and "[" in text:
            text = _CITATION.sub("", text)
        low = text.lower()
        # Most texts hold none of them, and then no line is asked.
        notices = tuple(notice for notice in listed if notice in low)
        lines = [line.strip() for line in text.split("\n")]
        words = _words(document.language, text)
        kept = [
            line for place, line in enumerate(lines) if _stays(line, rules, notices, words[place] if words else None)
        ]
        removed = sum(1 for line in lines if line) - len(kept)
        return Verdict(measured={"removed_lines": removed}, text="\n".join(kept))


def _stays(line: str, rules: C4LinesParams, notices: tuple[str, ...], words: int | None) -> bool:
    if not rules.unterminated and (line[-1:] not in TERMINAL or line.endswith("...")):
        return False
    if (len(line.split(None, rules.min_words)) if words is None else words) < max(rules.min_words, 1):
        return False
    if len(line) > rules.longest_word and max(map(len, apart(line).split())) > rules.longest_word:
        return False
    return not notices or not any(notice in line.lower() for notice in notices)


def _words(language: str, text: str) -> Sequence[int] | None:
    """How many words each line has; None where they are runs of non-space."""
    if language not in SPACELESS:
        return None
    import numpy as np

    from tasks.text.tokens import vocabulary

    tokens = vocabulary(language).read(text)
    counts: list[int] = np.bincount(tokens.lines[~tokens.marks], minlength=text.count("\n") + 1).tolist()
    return counts
