"""Signatures of texts whose likeness estimates that of the texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks.text.scripts import apart

if TYPE_CHECKING:
    from tasks.config.clean import Near

_SEED = 1
_RECALL = 0.99
_PRIME = np.uint64(0x100000001B3)  # FNV-1a, 64 bits
_BASIS = np.uint64(0xCBF29CE484222325)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd and without pattern: 2^64 over the golden ratio


def signatures(texts: Sequence[str], near: Near) -> NDArray[np.uint32]:
    """MinHash signatures, shape ``(len(texts), near.permutations)``; equal in every process.

    The share of equal places of two signatures estimates the Jaccard similarity of the texts' sets of
    word n-grams (Broder 1997, "On the resemblance and containment of documents"). Of scripts without spaces each
    character is a word: a dictionary would divide a sentence otherwise for one character more.
    """
    from rensa import RMinHash

    if not texts:
        return np.empty((0, near.permutations), np.uint32)
    shingles = [_shingles(text, near.ngram) for text in texts]
    ends = np.cumsum([0, *map(len, shingles)], dtype=np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(np.concatenate(shingles), ends, near.permutations, _SEED)
    return np.array(matrix.to_rows(), dtype=np.uint32)


def bands(near: Near) -> tuple[int, int]:
    """How many bands of how many rows find all but 1 % of the pairs at the threshold.

    Two documents of similarity s share at least one of b bands of r rows with probability
    1 - (1 - s^r)^b (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4.2). More rows find
    fewer pairs that are none; those are weeded out by their signatures anyway.
    """
    return _bands(near.threshold, near.permutations)


@lru_cache
def _bands(threshold: float, permutations: int) -> tuple[int, int]:
    for rows in range(permutations, 1, -1):
        count = permutations // rows
        if 1 - (1 - threshold**rows) ** count >= _RECALL:
            return count, rows
    return permutations, 1


def band_key(signed: NDArray[np.uint32], near: Near, band: int) -> NDArray[np.uint64]:
    """A 64-bit hash of one band, of every row of ``signed``."""
    _, width = bands(near)
    key = np.full(len(signed), _BASIS)
    for column in range(band * width, (band + 1) * width):
        key = (key ^ signed[:, column]) * _PRIME
    return key


def _shingles(text: str, n: int) -> NDArray[np.uint64]:
    """A 64-bit hash of each word n-gram; of all words where there are fewer than n."""
    from rensa import RMinHash

    words = np.array(RMinHash.hash_token_sets([apart(text.lower()).split()])[0], np.uint64)
    n = min(n, max(len(words), 1))
    count = len(words) - n + 1
    # Hashes of words into one of their sequence: no string is built for an n-gram, which is most of the time.
    hashed = np.zeros(count, np.uint64)
    for place in range(n):
        hashed = hashed * _MULTIPLIER + words[place : place + count]
    # Mixed, so that every bit depends on every word: the permutations take that for granted.
    return _mixed(_mixed(hashed) * _MULTIPLIER)


def _mixed(hashed: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return hashed ^ (hashed >> np.uint64(32))
