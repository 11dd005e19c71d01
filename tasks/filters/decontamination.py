"""Leave out texts that quote what a model is to be tested on.

Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C: a text is contaminated if it shares a
sequence of 13 words with a test; here shares of a test's sequences can be asked for too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.filters.lists import Listed, lines

_WORD = re.compile(r"\w+")


class DecontaminationParams(Listed):
    """``clean.filters: [{decontamination: {files: [tests.jsonl]}}]``"""

    texts: tuple[str, ...] = Field((), description="of the tests, as they are")
    files: tuple[str, ...] = Field(
        (), description="files or store URLs, a test a line: plain text, or JSON with a `text`"
    )
    ngram: int = Field(13, ge=1, le=50, description="words in a row, without marks and capitals; a shorter test whole")
    max_shared: int = Field(0, ge=0, description="so many different sequences may stand in some test too")

    def lists(self) -> Iterable[str]:
        """Where the lists lie."""
        return self.files


@FILTERS.register("decontamination")
class Decontamination:
    """Drops ``decontamination.shared``: how many different sequences of words are a test's."""

    Params = DecontaminationParams
    MEASURES = ("shared",)

    def __init__(self, params: DecontaminationParams) -> None:
        self._most = params.max_shared
        # By length: tests of fewer words than an n-gram are looked for whole.
        self._known: dict[int, set[str]] = {}
        for test in (*params.texts, *map(_text, lines(params.files))):
            words = _words(test)
            size = min(params.ngram, len(words))
            if size:
                self._known.setdefault(size, set()).update(_ngrams(words, size))

    def judge(self, document: Document) -> Verdict:
        shared = 0
        if self._known:
            words = _words(document.text)
            shared = sum(len(known.intersection(_ngrams(words, size))) for size, known in self._known.items())
        if shared > self._most:
            return Verdict("shared", shared)
        return Verdict(measured={"shared": shared})


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _ngrams(words: list[str], size: int) -> set[str]:
    return {" ".join(words[at : at + size]) for at in range(len(words) - size + 1)}


def _text(line: str) -> str:
    if line.startswith("{"):
        try:
            return str(json.loads(line)["text"])
        except (ValueError, KeyError):
            pass
    return line
