"""How much of a text repeats itself, n-gram by n-gram, exactly and in little time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tasks.kernels import ngrams

Integers = NDArray[np.int64]


class Repeats:
    """The n-grams that occur more than once in a sequence of words, given as numbers and lengths.

    An n-gram can only occur twice where its first n-1 words do, so each size looks at nothing but
    the places that the size before left over: in ordinary text a handful from three words on.
    """

    def __init__(self, ids: Integers, lengths: Integers) -> None:
        self._ids = np.ascontiguousarray(ids, np.int64)
        self._ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))

    def of_sizes(self, sizes: range) -> Iterator[tuple[int, Integers, Integers]]:
        """For each n in turn: n, the places (word index, ascending) of the n-grams that occur more than
        once, and which n-gram stands there (equal numbers, equal n-grams). Sizes start at 2 or above.
        What is given is good until the next n is asked for."""
        places, grams = np.arange(len(self._ids)), self._ids.copy()
        keys, counts = np.empty(len(places), np.int64), np.empty(len(places), np.int64)
        for n in range(2, sizes.stop):
            slots = np.full(1 << (2 * len(places) + 1).bit_length(), -1, np.int32)
            left = ngrams.repeated(self._ids, places, n, grams, keys, slots, counts)
            places, grams = places[:left], grams[:left]
            if n in sizes:
                yield n, places, grams

    def top_characters(self, n: int, places: Integers, grams: Integers) -> int:
        """Characters of the most frequent n-gram, spaces within it included, times its count."""
        if len(self._ids) < n:
            return 0
        if not len(places):  # each occurs once: the first
            return int(self._ends[n]) + n - 1
        return int(ngrams.top_characters(places, grams, self._ends, n, np.zeros(len(self._ids), np.int64)))

    def repeated_characters(self, n: int, places: Integers, grams: Integers) -> int:
        """Characters in n-grams that occurred before, none counted twice."""
        if not len(places):
            return 0
        return int(ngrams.repeated_characters(places, grams, self._ends, n, np.zeros(len(self._ids), np.uint8)))
