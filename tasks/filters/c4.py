"""Is it a page of sentences, or code, a form and a cookie notice? The rules of C4.

Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
section 2.2. The paper takes single lines out of a page; `c4_lines` does so. Here the text stays as it is,
and a page is judged by the lines that would have stayed.
"""

from __future__ import annotations

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.filters.languages import ByLanguage, Overrides, overrides
from tasks.text.marks import SENTENCE_ENDS
from tasks.text.segment import CLUSTERED

TERMINAL = SENTENCE_ENDS | {'"', "'", "”"}
"""How a line ends that ends a sentence, in any script."""
UNTERMINATED = ("th", "lo")
"""Languages in which nothing but a space ends a sentence."""
NOTICES = (
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)


class C4Params(ByLanguage):
    """``clean.filters: [{c4: {min_sentences: 3}}]``; a rule set to null is off."""

    min_sentences: int | None = Field(3, ge=0, description="in lines that end a sentence and are no notice")
    min_line_words: int = Field(5, ge=0, description="shorter lines do not count; words, marks left out")
    min_terminal_lines: float | None = Field(None, ge=0, le=1, description="share of lines that end a sentence")
    unterminated_lines: bool = Field(False, description="lines that end no sentence count too, as FineWeb has it")
    curly_bracket: bool = Field(True, description="drop a text with `{`: most are program code")
    lorem_ipsum: bool = Field(True, description="drop a text with placeholder words")
    notices: tuple[str, ...] = Field(NOTICES, description="lines with one of these do not count, in capitals or not")
    languages: Overrides = overrides({CLUSTERED: {"min_line_words": 10}, UNTERMINATED: {"min_sentences": None}})


@FILTERS.register("c4")
class C4:
    """Drops ``c4.lorem_ipsum``, ``c4.curly_bracket``, ``c4.terminal_lines`` and ``c4.sentences``."""

    Params = C4Params
    MEASURES = ("curly_brackets", "terminal_lines", "sentences")

    def __init__(self, params: C4Params) -> None:
        # Imports numpy, and so not for those who only read the configuration.
        import numpy as np

        self._np = np
        self._rules = params.prepared(lambda each: (each, tuple(notice.lower() for notice in each.notices)))

    def judge(self, document: Document) -> Verdict:
        rules, notices = self._rules(document.language)
        low = document.text.lower()
        if rules.lorem_ipsum and "lorem ipsum" in low:
            return Verdict("lorem_ipsum", 1)
        brackets = document.text.count("{")
        if rules.curly_bracket and brackets:
            return Verdict("curly_bracket", brackets)
        lines = [line.strip() for line in document.text.split("\n")]
        ended = [line[-1:] in TERMINAL and not line.endswith("...") for line in lines]
        share = sum(ended) / max(sum(1 for line in lines if line), 1)
        if rules.min_terminal_lines is not None and share < rules.min_terminal_lines:
            return Verdict("terminal_lines", share)
        held = tuple(notice for notice in notices if notice in low)
        sentences = self._sentences(document, rules, lines, ended, held)
        if rules.min_sentences is not None and sentences < rules.min_sentences:
            return Verdict("sentences", sentences)
        return Verdict(measured={"curly_brackets": brackets, "terminal_lines": share, "sentences": sentences})

    def _sentences(
        self, document: Document, rules: C4Params, lines: list[str], ended: list[bool], notices: tuple[str, ...]
    ) -> int:
        np, tokens = self._np, document.tokens
        counts = np.ones(len(lines), np.bool_) if rules.unterminated_lines else np.array(ended)
        words = np.bincount(tokens.lines[~tokens.marks], minlength=len(lines))
        counts &= words >= rules.min_line_words
        if notices:
            counts &= np.array([not any(notice in line.lower() for notice in notices) for line in lines])
        return int(tokens.sentences(len(lines))[counts].sum())
