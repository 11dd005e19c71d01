"""The n-grams of a sequence of numbers that occur more than once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.kernels.compiled import kernel
from tasks.kernels.table import Integers, Slots


@kernel("int64(int64[::1], int64[::1], int64, int64[::1], int64[::1], int32[::1], int64[::1])")
def repeated(
    ids: Integers,
    places: Integers,
    n: int,
    grams: Integers,
    keys: Integers,
    slots: Slots,
    counts: Integers,
) -> int:
    """Leave in ``places`` and ``grams`` the n-grams that occur twice or more; returns how many places are left.

    ``grams`` holds numbers of the first n-1 words at each place, and then of all n. ``slots`` is an empty hash table
    (-1) of a power of two in size; ``keys`` and ``counts`` are of the size of ``places``.
    """
    mask = len(slots) - 1
    width = np.int64(0)
    for word in ids:
        width = max(width, word + 1)
    found = 0
    inside = 0
    for at in range(len(places)):
        place = places[at]
        if place + n > len(ids):
            break  # places ascend
        # Numbers of words and of n-grams are both below 2^31, so the product is exact in 64 bits.
        key = grams[at] * width + ids[place + n - 1]
        slot = ((key * np.int64(-7046029254386353131)) >> np.int64(24)) & mask  # 2^64 over the golden ratio
        while slots[slot] >= 0 and keys[slots[slot]] != key:
            slot = (slot + 1) & mask
        number = np.int64(slots[slot])
        if number < 0:
            number = np.int64(found)
            slots[slot] = found
            keys[found] = key
            counts[found] = 0
            found += 1
        counts[number] += 1
        grams[at] = number
        inside += 1
    left = 0
    for at in range(inside):
        if counts[grams[at]] > 1:
            places[left] = places[at]
            grams[left] = grams[at]
            left += 1
    return left


@kernel("int64(int64[::1], int64[::1], int64[::1], int64, int64[::1])")
def top_characters(places: Integers, grams: Integers, ends: Integers, n: int, counts: Integers) -> int:
    """Characters of the most frequent n-gram, the first of several, spaces within it included, times its count.

    ``ends[i]`` are the characters before word i; ``counts`` zeros, as many as there are numbers in ``grams``.
    """
    most = 0
    for gram in grams:
        counts[gram] += 1
        most = max(most, counts[gram])
    for at in range(len(places)):
        if counts[grams[at]] == most:
            found: int = (ends[places[at] + n] - ends[places[at]] + n - 1) * most
            return found
    return 0


@kernel("int64(int64[::1], int64[::1], int64[::1], int64, uint8[::1])")
def repeated_characters(places: Integers, grams: Integers, ends: Integers, n: int, seen: NDArray[np.uint8]) -> int:
    """Characters in n-grams that occurred before, none counted twice; ``seen`` zeros, one a number in ``grams``."""
    total = free = 0
    for at in range(len(places)):
        place = places[at]
        if place < free:
            continue
        if seen[grams[at]]:
            total += ends[place + n] - ends[place]
            free = place + n
        else:
            seen[grams[at]] = 1
    return total
