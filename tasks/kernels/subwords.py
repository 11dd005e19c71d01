"""Sums of the vectors of words' character n-grams, as fastText hashes them.

Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information", section 3.2; the hash is FNV-1a of 32
bits over signed bytes, as in fastText's ``Dictionary::hash`` and ``Dictionary::computeSubwords``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.kernels.compiled import kernel, part
from tasks.kernels.table import TABLE, Bytes, Hashes, Integers, Slots, find

_BASIS, _PRIME = np.uint32(2166136261), np.uint32(16777619)
_BEGIN, _END = np.uint8(0x3C), np.uint8(0x3E)  # < and >


@part
def fnv(hashed: Any, byte: Any) -> Any:
    """One step of FNV-1a; products of 32 bits have 64 here, and are cut."""
    return np.uint32((hashed ^ np.uint32(np.int32(np.int8(byte)))) * _PRIME)


@kernel(
    f"void(uint64[::1], int64[::1], uint8[::1], {TABLE}, int64, int64, int64, int64, int64, uint16[::1], f4[:, ::1], "
    "f4[:, ::1], f4[::1])"
)
def add_words(
    hashes: Hashes,
    bounds: Integers,
    arena: Bytes,
    word_slots: Slots,
    word_hashes: Hashes,
    word_bounds: Integers,
    word_arena: Bytes,
    first: int,
    last: int,
    shortest: int,
    longest: int,
    most: int,
    row_of_hash: NDArray[np.uint16],
    vectors: NDArray[np.float32],
    sums: NDArray[np.float32],
    parts: NDArray[np.float32],
) -> None:
    """Add to ``sums[i]`` the vectors of string i, if it is a known word, and its n-grams; count them in ``parts[i]``.

    For strings ``first`` to ``last`` of a table, of which ``most`` characters are looked at; n from ``shortest`` to
    ``longest``. The first rows of ``vectors`` are the known words', by their number; ``row_of_hash`` says where an
    n-gram lies, 0 for one that the model did not keep.
    """
    buckets = np.uint32(len(row_of_hash))
    for number in range(first, last):
        begin, end = bounds[number], bounds[number + 1]
        word = find(word_slots, word_hashes, word_bounds, word_arena, arena, begin, end, hashes[number])
        if word >= 0:
            for column in range(vectors.shape[1]):
                sums[number, column] += vectors[word, column]
            parts[number] += np.float32(1)
        # The bytes of the characters that count: what follows them is looked at by none.
        characters = 0
        stop = begin
        while stop < end:
            if (arena[stop] & 0xC0) != 0x80:
                if characters == most:
                    break
                characters += 1
            stop += 1
        # Places -1 and stop - begin are the marks that a word is put between.
        size = stop - begin
        for at in range(-1, size + 1):
            if 0 <= at < size and (arena[begin + at] & 0xC0) == 0x80:
                continue
            hashed = _BASIS
            place = at
            for n in range(1, longest + 1):
                if place > size:
                    break
                byte = _BEGIN if place < 0 else (_END if place == size else arena[begin + place])
                hashed = fnv(hashed, byte)
                place += 1
                while 0 < place < size and (arena[begin + place] & 0xC0) == 0x80:
                    hashed = fnv(hashed, arena[begin + place])
                    place += 1
                # The marks alone are no n-gram.
                if n < shortest or (n == 1 and (at < 0 or at == size)):
                    continue
                row = row_of_hash[hashed % buckets]
                if row > 0:
                    for column in range(vectors.shape[1]):
                        sums[number, column] += vectors[row, column]
                    parts[number] += np.float32(1)


@kernel("f8(int64[::1], f4[:, ::1], f4[::1], f8[::1])")
def add_rows(rows: Integers, sums: NDArray[np.float32], parts: NDArray[np.float32], total: NDArray[Any]) -> float:
    """Add ``sums[row]`` of all ``rows`` to ``total``; returns the sum of their ``parts``."""
    count = 0.0
    for row in rows:
        count += parts[row]
        for column in range(sums.shape[1]):
            total[column] += sums[row, column]
    return count


@kernel("void(f8[::1], f8[:, ::1], int64[::1], int64[::1], f8[::1])")
def score_leaves(
    hidden: NDArray[np.float64],
    output: NDArray[np.float64],
    parents: Integers,
    sides: Integers,
    scores: NDArray[np.float64],
) -> None:
    """The logarithm of the probability of each node of a Huffman tree, the root last and its children before it.

    Hierarchical softmax (Morin and Bengio 2005, "Hierarchical Probabilistic Neural Network Language Model"): an inner
    node's row of ``output`` says how likely its right side is. The first rows of ``scores`` are the leaves'.
    """
    nodes = len(parents)
    leaves = (nodes + 1) // 2
    scores[nodes - 1] = 0.0
    for node in range(nodes - 2, -1, -1):
        row = parents[node] - leaves
        total = 0.0
        for column in range(len(hidden)):
            total += output[row, column] * hidden[column]
        right = 1.0 / (1.0 + math.exp(-total))
        # The library adds so much before it takes the logarithm.
        scores[node] = scores[parents[node]] + math.log((right if sides[node] else 1.0 - right) + 1e-5)
