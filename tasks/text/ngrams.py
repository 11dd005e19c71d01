"""How much of a text repeats itself, n-gram by n-gram, exactly and in little time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


class Repeats:
    """The n-grams that occur more than once in ``words``.

    An n-gram can only occur twice where its first n-1 words do, so each size looks at nothing but
    the places that the size before left over: in ordinary text a handful from three words on.
    """

    def __init__(self, words: Sequence[str]) -> None:
        known: dict[str, int] = {}
        self._ids = np.fromiter((known.setdefault(w, len(known)) for w in words), np.int64, len(words))
        lengths = np.fromiter(map(len, words), np.int64, len(words))
        self._ends = np.concatenate(([0], np.cumsum(lengths)))

    def of_sizes(self, sizes: range) -> Iterator[tuple[int, Integers, Integers]]:
        """For each n in turn: n, the places (word index, ascending) of the n-grams that occur more than
        once, and which n-gram stands there (equal numbers, equal n-grams)."""
        places = np.arange(len(self._ids))
        grams = self._ids
        for n in range(1, sizes.stop):
            if n > 1:
                inside = places + n <= len(self._ids)
                places = places[inside]
                # Both factors are below the number of words, so the product is exact in 64 bits.
                grams = grams[inside] * len(self._ids) + self._ids[places + n - 1]
            _, inverse, counts = np.unique(grams, return_inverse=True, return_counts=True)
            again = counts[inverse] > 1
            places, grams = places[again], inverse[again]
            if n in sizes:
                yield n, places, grams

    def top_characters(self, n: int, places: Integers, grams: Integers) -> int:
        """Characters of the most frequent n-gram, spaces within it included, times its count."""
        if len(self._ids) < n:
            return 0
        place, count = 0, 1
        if len(places):
            _, first, counts = np.unique(grams, return_index=True, return_counts=True)
            place = int(places[first[counts == counts.max()].min()])
            count = int(counts.max())
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
