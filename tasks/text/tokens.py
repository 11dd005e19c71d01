"""A text counted once for all filters: its words as numbers, with what each filter asks of them.

Splitting is a function of the run between two spaces alone, so what comes of a run is kept in columns; a
text is then a lookup in a dict and a few gathers, whatever is asked of it.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, count, islice, repeat
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


class Tokens:
    """The words and marks of a text, in order. Equal numbers in ``ids``, equal words; of this text only."""

    def __init__(self, ids: Integers, counts: Integers, lines: Sequence[int], words: _Words) -> None:
        self.ids = ids
        self._counts, self._lines = counts, lines
        """Words of each run, and runs of each line."""
        self._words = words

    def __len__(self) -> int:
        return len(self.ids)

    @functools.cached_property
    def lengths(self) -> Integers:
        """Characters of each."""
        return self._words.lengths.values[self.ids]

    @functools.cached_property
    def lines(self) -> Integers:
        """The line that each stands in; lines are what ``\\n`` parts, blank ones included."""
        return np.repeat(np.repeat(np.arange(len(self._lines)), self._lines), self._counts)

    @functools.cached_property
    def lettered(self) -> NDArray[np.bool_]:
        """Whether there is a letter in it."""
        return self._words.lettered.values[self.ids]

    @functools.cached_property
    def marks(self) -> NDArray[np.bool_]:
        """Whether it is nothing but punctuation."""
        return self._words.marks.values[self.ids]

    @functools.cached_property
    def kinds(self) -> NDArray[np.int8]:
        """2 for what may end a sentence, 1 for other punctuation, 0 for the rest."""
        return self._words.kinds.values[self.ids]

    def occurring(self, words: Iterable[str]) -> int:
        """How many of these different words occur."""
        known = (self._words.numbers.get(word) for word in words)
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
        self._words = _Words()

    def read(self, text: str) -> Tokens:
        """Split and look up all of a text."""
        if len(self._words.runs) > _LARGEST or len(self._words.numbers) > _LARGEST:
            self._words = _Words()  # what was read before keeps the old ones
        words, segment = self._words, self._segment
        lines = [segment(line) if segment else line.split() for line in text.split("\n")]
        runs = list(chain.from_iterable(lines))
        known = len(words.runs)
        rows = np.fromiter(map(words.runs.__getitem__, runs), np.int64, len(runs))
        if fresh := _last(words.runs, len(words.runs) - known):
            try:
                words.learn(zip(fresh) if segment else map(split, fresh, repeat(self._language)))
            except BaseException:
                self._words = _Words()  # a number without a word behind it would spoil every text to come
                raise
        counts = words.counts.values[rows]
        ids = words.flat.values[words.starts.values[rows]]
        if len(rows) and counts.max() > 1:
            ends = np.cumsum(counts)
            first = np.repeat(words.starts.values[rows] - (ends - counts), counts)
            ids = words.flat.values[first + np.arange(ends[-1])]
        return Tokens(ids, counts, [*map(len, lines)], words)


class _Words:
    """What is known of runs and words. One that is looked up gets the next number, to be learnt at once."""

    def __init__(self) -> None:
        self.runs: defaultdict[str, int] = defaultdict(count().__next__)
        self.numbers: defaultdict[str, int] = defaultdict(count().__next__)
        self.starts, self.counts, self.flat = _Column(np.int64), _Column(np.int64), _Column(np.int64)
        """The words of a run: where they begin in ``flat``, and how many they are."""
        self.lengths, self.lettered = _Column(np.int64), _Column(np.bool_)
        self.marks, self.kinds = _Column(np.bool_), _Column(np.int8)

    def learn(self, runs: Iterable[tuple[str, ...]]) -> None:
        """Add runs, given as the words in each."""
        found = list(runs)
        counts = np.fromiter(map(len, found), np.int64, len(found))
        known = len(self.numbers)
        flat = [*map(self.numbers.__getitem__, chain.from_iterable(found))]
        self.starts.extend(self.flat.size + np.cumsum(counts) - counts)
        self.counts.extend(counts)
        self.flat.extend(flat)
        fresh = _last(self.numbers, len(self.numbers) - known)
        self.lengths.extend([*map(len, fresh)])
        self.lettered.extend([word[0].isalpha() or any(map(str.isalpha, word)) for word in fresh])
        # Most begin with a letter or a figure, and that is no mark.
        self.marks.extend([not word[0].isalnum() and not word.isalnum() and all(map(_is_mark, word)) for word in fresh])
        self.kinds.extend([_OTHER if word[0].isalnum() else _kind(word) for word in fresh])


class _Column:
    """A growing array; ``values`` may hold more than was added."""

    def __init__(self, kind: type[np.generic]) -> None:
        self.values: NDArray[Any] = np.zeros(1024, kind)
        self.size = 0

    def extend(self, values: Sequence[int] | Integers) -> None:
        size = self.size + len(values)
        if size > len(self.values):
            grown = np.zeros(max(size, 2 * len(self.values)), self.values.dtype)
            grown[: self.size] = self.values[: self.size]
            self.values = grown
        self.values[self.size : size] = values
        self.size = size


def _last(known: dict[str, int], number: int) -> list[str]:
    return list(islice(reversed(known), number))[::-1]


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
