"""Leave out texts that quote what a model is to be tested on.

Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C: a text is contaminated if it shares a
sequence of 13 words with a test; here shares of a test's sequences can be asked for too.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.filters.lists import Listed, lines, tests_of
from tasks.text.scripts import MARKS, apart

_WORD = re.compile(r"\w+")


class DecontaminationParams(Listed):
    """``clean.filters: [{decontamination: {files: [tests.jsonl]}}]``"""

    texts: tuple[str, ...] = Field((), description="of the tests, as they are")
    files: tuple[str, ...] = Field(
        (), description="files or store URLs, a test a line: plain text, or JSON with a `text`"
    )
    snapshots: tuple[Annotated[str, Field(pattern=r"://.+/_manifest\.json$")], ...] = Field(
        (), description="manifests of other corpora's snapshots, as `nightshift snapshot` prints: their test splits"
    )
    ngram: int = Field(
        13,
        ge=1,
        le=50,
        description="words in a row (of scripts without spaces characters), no marks or capitals; a shorter test whole",
    )
    max_shared: int = Field(0, ge=0, description="so many different sequences may stand in some test too")

    def lists(self) -> Iterable[str]:
        """Where the lists lie."""
        return (*self.files, *self.snapshots)


@FILTERS.register("decontamination")
class Decontamination:
    """Drops ``decontamination.shared``: how many different sequences of words are a test's."""

    Params = DecontaminationParams
    MEASURES = ("shared",)

    def __init__(self, params: DecontaminationParams) -> None:
        self._most = params.max_shared
        # By length: tests of fewer words than an n-gram are looked for whole.
        self._known: dict[int, set[str]] = {}
        for test in _tests(params):
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


def _tests(params: DecontaminationParams) -> Iterator[str]:
    yield from params.texts
    yield from map(_text, lines(params.files, comments=False))
    for location in params.snapshots:
        yield from tests_of(location)


def _words(text: str) -> list[str]:
    # Characters where there are no spaces: beside other words, a dictionary would divide a test in another way.
    return (_WORD if text.isascii() else _marked_word()).findall(apart(text.lower()))


@functools.cache
def _marked_word() -> re.Pattern[str]:
    return re.compile(rf"[\w{MARKS}]+")


def _ngrams(words: list[str], size: int) -> set[str]:
    return {" ".join(words[at : at + size]) for at in range(len(words) - size + 1)}


def _text(line: str) -> str:
    if line.startswith("{"):
        try:
            return str(json.loads(line)["text"])
        except (ValueError, KeyError):
            pass
    return line
