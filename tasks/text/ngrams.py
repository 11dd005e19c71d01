"""How much of a text repeats itself, n-gram by n-gram, exactly and in little time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class Repeats:
    """The n-grams that occur more than once in a sequence of words, given as numbers and lengths.

    An n-gram can only occur twice where its first n-1 words do, so each size looks at nothing but
    the places that the size before left over: in ordinary text a handful from three words on.
    """

    def __init__(self, ids: Integers, lengths: Integers) -> None:
        self._ids = ids
        self._ends = np.concatenate(([0], np.cumsum(lengths)))

    def of_sizes(self, sizes: range) -> Iterator[tuple[int, Integers, Integers]]:
        """For each n in turn: n, the places (word index, ascending) of the n-grams that occur more than
        once, and which n-gram stands there (equal numbers, equal n-grams). Sizes start at 2 or above."""
        count = len(self._ids)
        places = np.arange(count)
        grams = self._ids
        # Numbers of words and of n-grams are both below 2^31, so the product is exact in 64 bits.
        width = int(self._ids.max()) + 1 if count else 1
        for n in range(2, sizes.stop):
            inside = places + n <= count
            places = places[inside]
            places, grams = _repeated(places, grams[inside] * width + self._ids[places + n - 1])
            if n in sizes:
                yield n, places, grams

    def top_characters(self, n: int, places: Integers, grams: Integers) -> int:
        """Characters of the most frequent n-gram, spaces within it included, times its count."""
        if len(self._ids) < n:
            return 0
        place, count = 0, 1
        if len(places):
            counts = np.bincount(grams)
            count = int(counts.max())
            place = int(places[(counts[grams] == count).argmax()])  # the first of the most frequent
        return (self._characters(place, n) + n - 1) * count

    def repeated_characters(self, n: int, places: Integers, grams: Integers) -> int:
        """Characters in n-grams that occurred before, none counted twice."""
        seen: set[int] = set()
        total = free = 0
        characters = (self._ends[places + n] - self._ends[places]).tolist()
        for place, gram, length in zip(places.tolist(), grams.tolist(), characters, strict=True):
            if place < free:
                continue
            if gram in seen:
                total += length
                free = place + n
            else:
                seen.add(gram)
        return total

    def _characters(self, place: int, n: int) -> int:
        return int(self._ends[place + n] - self._ends[place])


def _repeated(places: Integers, keys: Integers) -> tuple[Integers, Integers]:
    """The places whose key another place has too, ascending, and numbers for their keys."""
    order = np.argsort(keys)  # not stable: nothing below depends on the order of equals, and vectors are quicker
    ordered = keys[order]
    equal = ordered[1:] == ordered[:-1]
    again = np.zeros(len(keys), np.bool_)
    again[1:] |= equal
    again[:-1] |= equal
    begins = np.ones(len(keys), np.bool_)
    begins[1:] = ~equal
    number = np.empty(len(keys), np.int64)
    number[order] = np.cumsum(begins)
    kept = np.zeros(len(keys), np.bool_)
    kept[order[again]] = True
    return places[kept], number[kept]
