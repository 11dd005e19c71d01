"""A text counted once for all filters: its words as numbers, with what each filter asks of them.

Splitting is a function of the run between two spaces alone, so what comes of a run is kept in columns; a
text is then a lookup in a dict and a few gathers, whatever is asked of it.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.text.marks import SENTENCE_ENDS
from tasks.text.segment import SPACELESS, segmenter
from tasks.text.words import split

Integers = NDArray[np.int64]

_LARGEST = 1 << 18
"""Runs and words remembered for a language; then all is forgotten, so that memory stays bounded."""
_OTHER, _MARK, _STOP = 0, 1, 2
_STOPS = frozenset(".!?…‥⁇⁈⁉‼‽。！？．｡؟۔।॥։።፧၊။។៕᠃᠉⸮")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Tokens:
    """The words and marks of a text, in order. Equal numbers in ``ids``, equal words; of this text only."""

    ids: Integers
    lengths: Integers
    """Characters of each."""
    lines: Integers
    """The line that each stands in; lines are what ``\\n`` parts, blank ones included."""
    lettered: NDArray[np.bool_]
    """Whether there is a letter in it."""
    marks: NDArray[np.bool_]
    """Whether it is nothing but punctuation."""
    kinds: NDArray[np.int8]
    """2 for what may end a sentence, 1 for other punctuation, 0 for the rest."""
    vocabulary: Vocabulary

    def __len__(self) -> int:
        return len(self.ids)

    def occurring(self, words: Iterable[str]) -> int:
        """How many of these different words occur."""
        known = (self.vocabulary.number(word) for word in words)
        return sum(1 for number in known if number is not None and (self.ids == number).any())

    def sentences(self, count: int) -> Integers:
        """How many sentences each of the text's ``count`` lines holds: one, and one more with every word
        that follows a mark that ends one. 0 for a line without words."""
        found = np.zeros(count, np.int64)
        found[self.lines] = 1
        matters = self.kinds != _MARK
        kinds, lines = self.kinds[matters], self.lines[matters]
        begins = (kinds[:-1] == _STOP) & (kinds[1:] == _OTHER) & (lines[:-1] == lines[1:])
        np.add.at(found, lines[1:][begins], 1)
        return found


class Vocabulary:
    """All words seen in a language, and runs of characters as the words in them."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._segment = segmenter(language)
        self._forget()

    def _forget(self) -> None:
        self._rows: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self._starts, self._counts, self._flat = _Column(np.int64), _Column(np.int64), _Column(np.int64)
        self._lengths, self._lettered = _Column(np.int64), _Column(np.bool_)
        self._marks, self._kinds = _Column(np.bool_), _Column(np.int8)

    def number(self, word: str) -> int | None:
        """The number of a word, if it was ever seen."""
        return self._numbers.get(word)

    def read(self, text: str) -> Tokens:
        """Split and look up all of a text."""
        if len(self._rows) > _LARGEST or len(self._numbers) > _LARGEST:
            self._forget()
        lines = [self._segment(line) if self._segment else line.split() for line in text.split("\n")]
        runs = list(chain.from_iterable(lines))
        for run in set(runs).difference(self._rows):
            self._learn(run)
        rows = np.fromiter(map(self._rows.__getitem__, runs), np.int64, len(runs))
        place = np.repeat(np.arange(len(lines)), np.fromiter(map(len, lines), np.int64, len(lines)))
        counts = self._counts.values[rows]
        if len(rows) and counts.max() > 1:
            ends = np.cumsum(counts)
            first = np.repeat(self._starts.values[rows] - (ends - counts), counts)
            ids = self._flat.values[first + np.arange(ends[-1])]
            place = np.repeat(place, counts)
        else:
            ids = self._flat.values[self._starts.values[rows]]
        return Tokens(
            ids=ids,
            lengths=self._lengths.values[ids],
            lines=place,
            lettered=self._lettered.values[ids],
            marks=self._marks.values[ids],
            kinds=self._kinds.values[ids],
            vocabulary=self,
        )

    def _learn(self, run: str) -> None:
        words = (run,) if self._segment else split(run, self._language)
        self._rows[run] = len(self._rows)
        self._starts.append(self._flat.size)
        self._counts.append(len(words))
        for word in words:
            number = self._numbers.get(word)
            if number is None:
                number = self._numbers[word] = len(self._numbers)
                self._lengths.append(len(word))
                self._lettered.append(word.isalpha() or any(map(str.isalpha, word)))
                self._marks.append(not word.isalnum() and all(map(_is_mark, word)))
                self._kinds.append(_kind(word))
            self._flat.append(number)


class _Column:
    """A growing array; ``values`` may hold more than was appended."""

    def __init__(self, kind: type[np.generic]) -> None:
        self.values: NDArray[Any] = np.zeros(1024, kind)
        self.size = 0

    def append(self, value: int) -> None:
        if self.size == len(self.values):
            self.values = np.concatenate((self.values, np.zeros_like(self.values)))
        self.values[self.size] = value
        self.size += 1


def vocabulary(language: str) -> Vocabulary:
    """This process's vocabulary of a language; one for all that are split by the same rules."""
    return _vocabulary(language if language == "en" or language in SPACELESS else "")


@functools.cache
def _vocabulary(language: str) -> Vocabulary:
    return Vocabulary(language)


def _is_mark(character: str) -> bool:
    kind = unicodedata.category(character)
    # Of the symbols, those that keyboards have among the punctuation.
    return kind[0] == "P" or kind == "Cc" or character in "$+<=>^`|~´∶"  # noqa: RUF001


def _kind(word: str) -> int:
    if word in SENTENCE_ENDS:
        return _STOP
    return _MARK if all(unicodedata.category(c)[0] == "P" for c in word) else _OTHER
