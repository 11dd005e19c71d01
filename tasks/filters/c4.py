"""Is it a page of sentences, or code, a form and a cookie notice? The rules of C4.

Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
section 2.2. The paper takes single lines out of a page; here the text stays as it is, and a page is
judged by the lines that would have stayed.
"""

from __future__ import annotations

import re

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.section import Section

_WIDE = "\u3002\uff01\uff1f"  # the full stop, exclamation and question marks of Chinese and Japanese
_TERMINAL = (".", "!", "?", '"', "”", *_WIDE)
_SENTENCE_END = re.compile(rf"[.!?]+(?=[\"'”)\]]*(?:\s|$))|[{_WIDE}]+")
_NOTICES = re.compile(
    r"javascript|terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies", re.IGNORECASE
)


class C4Params(Section):
    """``clean.filters: [{c4: {min_sentences: 3}}]``; a rule set to null is off."""

    min_sentences: int | None = Field(3, ge=0, description="in lines that end a sentence and are no notice")
    min_line_words: int = Field(5, ge=0, description="shorter lines do not count")
    min_terminal_lines: float | None = Field(None, ge=0, le=1, description="share of lines that end a sentence")
    curly_bracket: bool = Field(True, description="drop a text with `{`: most are program code")
    lorem_ipsum: bool = Field(True, description="drop a text with placeholder words")


@FILTERS.register("c4")
class C4:
    """Drops ``c4.lorem_ipsum``, ``c4.curly_bracket``, ``c4.terminal_lines`` and ``c4.sentences``."""

    Params = C4Params
    MEASURES = ("sentences", "terminal_lines", "curly_brackets")

    def __init__(self, params: C4Params) -> None:
        self._params = params

    def judge(self, document: Document) -> Verdict:
        rules = self._params
        if rules.lorem_ipsum and "lorem ipsum" in document.text.lower():
            return Verdict("lorem_ipsum", 1)
        brackets = document.text.count("{")
        if rules.curly_bracket and brackets:
            return Verdict("curly_bracket", brackets)
        ended = [line for line in document.lines if line.endswith(_TERMINAL) and not line.endswith("...")]
        share = len(ended) / max(len(document.lines), 1)
        if rules.min_terminal_lines is not None and share < rules.min_terminal_lines:
            return Verdict("terminal_lines", share)
        kept = "\n".join(
            line for line in ended if len(line.split()) >= rules.min_line_words and not _NOTICES.search(line)
        )
        sentences = sum(1 for _ in _SENTENCE_END.finditer(kept))
        if rules.min_sentences is not None and sentences < rules.min_sentences:
            return Verdict("sentences", sentences)
        return Verdict(measured={"sentences": sentences, "terminal_lines": share, "curly_brackets": brackets})
