"""A text counted once for all filters: its words as numbers, with what each filter asks of them.

Splitting is a function of the run between two spaces alone, so what comes of a run is kept in columns; a
text is then numbers of runs (``tasks.text.runs``) and a few gathers, whatever is asked of it.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tasks.kernels import plain
from tasks.kernels.table import Table, grown
from tasks.text import runs
from tasks.text.marks import SENTENCE_ENDS
from tasks.text.runs import Runs
from tasks.text.segment import SPACELESS, segmenter
from tasks.text.words import known, split

Integers = NDArray[np.int64]

_LARGEST, _LARGEST_BYTES = 1 << 18, 1 << 24
"""Words remembered for a language, and their bytes together; then all is forgotten, so that memory stays bounded."""
_OTHER, _MARK, _STOP = 0, 1, 2
_STOPS = frozenset(".!?…‥⁇⁈⁉‼‽。！？．｡؟۔।॥։።፧၊။។៕᠃᠉⸮")  # noqa: RUF001


class Tokens:
    """The words and marks of a text, in order. Equal numbers in ``ids``, equal words; of this text only."""

    def __init__(self, ids: Integers, counts: Integers, lines: Integers, words: _Words) -> None:
        self.ids = ids
        self._counts, self._lines = counts, lines
        """Words of each run, and runs of each line."""
        self._words = words

    def __len__(self) -> int:
        return len(self.ids)

    @functools.cached_property
    def lengths(self) -> Integers:
        """Characters of each."""
        return self._words.lengths[self.ids]

    @functools.cached_property
    def lines(self) -> Integers:
        """The line that each stands in; lines are what ``\\n`` parts, blank ones included."""
        return np.repeat(np.repeat(np.arange(len(self._lines)), self._lines), self._counts)

    @functools.cached_property
    def lettered(self) -> NDArray[np.bool_]:
        """Whether there is a letter in it."""
        return self._words.lettered[self.ids]

    @functools.cached_property
    def marks(self) -> NDArray[np.bool_]:
        """Whether it is nothing but punctuation."""
        return self._words.marks[self.ids]

    @functools.cached_property
    def kinds(self) -> NDArray[np.int8]:
        """2 for what may end a sentence, 1 for other punctuation, 0 for the rest."""
        return self._words.kinds[self.ids]

    def occurring(self, words: Iterable[str]) -> int:
        """How many of these different words occur."""
        numbers = map(self._words.table.find, words)
        return sum(1 for number in numbers if number >= 0 and (self.ids == number).any())

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
        self._special = Table()
        self._special.intern_all([*known(language)])
        self._words = _Words()
        self._runs = _SplitRuns(-1)

    def read(self, text: str) -> Tokens:
        """Split and look up all of a text."""
        if self._words.table.size > _LARGEST or self._words.table.bounds[self._words.table.size] > _LARGEST_BYTES:
            self._words, self._runs = _Words(), _SplitRuns(-1)  # what was read before keeps the old ones
        try:
            return self._segmented(text) if self._segment else self._split(runs.read(text))
        except BaseException:
            self._words, self._runs = _Words(), _SplitRuns(-1)  # what is half learnt would spoil every text to come
            raise

    def _segmented(self, text: str) -> Tokens:
        assert self._segment is not None
        lines = [*map(self._segment, text.split("\n"))]
        ids = self._words.numbers([*chain.from_iterable(lines)])
        return Tokens(ids, np.ones(len(ids), np.int64), np.fromiter(map(len, lines), np.int64, len(lines)), self._words)

    def _split(self, read: Runs) -> Tokens:
        if read.epoch != self._runs.epoch:
            self._runs = _SplitRuns(read.epoch)
        split_runs = self._runs
        split_runs.reserve(read.table.size)
        fresh = np.empty(len(read.numbers), np.int64)
        fresh = fresh[: plain.unknown(read.numbers, split_runs.counts, fresh)]
        if len(fresh):
            self._learn(read.table, fresh)
        counts = split_runs.counts[read.numbers].astype(np.int64)
        ids = np.empty(counts.sum(), np.int64)
        plain.expand(read.numbers, split_runs.starts, split_runs.counts, split_runs.flat, ids)
        return Tokens(ids, counts, read.counts, self._words)

    def _learn(self, table: Table, fresh: Integers) -> None:
        """Split runs that are new here: the most by compiled rules, the rest by all of them."""
        split_runs, words = self._runs, self._words
        split_runs.make_room(2 * len(fresh))
        words.table.reserve(2 * len(fresh), int((table.bounds[fresh + 1] - table.bounds[fresh]).sum()))
        before = words.table.size
        words.table.size = plain.split_plain(
            fresh, table.bounds, table.arena, *self._special.arrays, *words.table.arrays, before,
            split_runs.counts, split_runs.starts, split_runs.flat, split_runs.filled,
        )  # fmt: skip
        words.describe(before)
        counts = split_runs.counts[fresh]
        hard = fresh[counts == plain.HARD]
        split_runs.filled += int(counts[counts > 0].sum())
        if len(hard):
            parts = [split(table.string(run), self._language) for run in hard.tolist()]
            numbers = words.numbers([*chain.from_iterable(parts)])
            lengths = np.fromiter(map(len, parts), np.int64, len(parts))
            split_runs.add(hard, lengths, numbers)


class _SplitRuns:
    """What words the runs of one epoch are: of run r those at ``flat[starts[r]:][:counts[r]]``."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.starts, self.counts = np.empty(1024, np.int64), np.full(1024, plain.UNKNOWN, np.int32)
        self.flat, self.filled = np.empty(1024, np.int64), 0

    def reserve(self, size: int) -> None:
        """Have a place for so many runs."""
        if size > (known := len(self.counts)):
            self.starts, self.counts = grown(self.starts, size), grown(self.counts, size)
            self.counts[known:] = plain.UNKNOWN

    def make_room(self, words: int) -> None:
        """Have a place for so many words more."""
        if self.filled + words > len(self.flat):
            self.flat = grown(self.flat, self.filled + words)

    def add(self, found: Integers, lengths: Integers, words: Integers) -> None:
        """The words of some runs, one behind the other, so many of each."""
        self.make_room(len(words))
        self.starts[found] = self.filled + np.cumsum(lengths) - lengths
        self.counts[found] = lengths
        self.flat[self.filled : self.filled + len(words)] = words
        self.filled += len(words)


class _Words:
    """What is known of words, by their number."""

    def __init__(self) -> None:
        self.table = Table()
        self.lengths, self.lettered = np.empty(1024, np.int64), np.empty(1024, np.bool_)
        self.marks, self.kinds = np.empty(1024, np.bool_), np.empty(1024, np.int8)

    def numbers(self, words: list[str]) -> Integers:
        """The number of each; a new word gets the next one."""
        before = self.table.size
        numbers = self.table.intern_all(words)
        self.describe(before)
        return numbers

    def describe(self, first: int) -> None:
        """Learn what the words from number ``first`` on are."""
        size = self.table.size
        if size > len(self.lengths):
            self.lengths, self.lettered, self.marks, self.kinds = (
                grown(column, size) for column in (self.lengths, self.lettered, self.marks, self.kinds)
            )
        self.marks[first:size], self.kinds[first:size] = False, _OTHER
        others = np.empty(size - first, np.int64)
        left = plain.describe(
            self.table.bounds, self.table.arena, first, size, self.lengths, self.lettered.view(np.uint8), others
        )
        for number in others[:left].tolist():
            word = self.table.string(number)
            self.lengths[number] = len(word)
            self.lettered[number] = any(map(str.isalpha, word))
            # Most begin with a letter or a figure, and that is no mark.
            if not word[0].isalnum():
                self.marks[number] = not word.isalnum() and all(map(_is_mark, word))
                self.kinds[number] = _kind(word)


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
