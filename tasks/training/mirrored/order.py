"""Which examples make which global batch: a function of seed, epoch and step alone, never of the workers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


class Order:
    """Examples are numbered through the shards; every epoch visits each of them once.

    The shards of an epoch come in drawn order, and so do the rows of a shard: a batch then touches few
    shards, so that the first steps need only the first shards to have arrived.
    """

    def __init__(self, seed: int, sizes: Sequence[int], batch_size: int) -> None:
        """``sizes`` are the shards' numbers of examples; at least one of them is above 0."""
        self.sizes = tuple(sizes)
        self.total = sum(sizes)
        self.batch_size = batch_size
        self.steps = -(-self.total // batch_size)
        """Steps of an epoch; the last one has what is left."""
        self._seed = seed % 2**64
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)
        self._rows = lru_cache(maxsize=4)(self._drawn_rows)
        self._shards = lru_cache(maxsize=2)(self._drawn_shards)

    def batch(self, step: int) -> Numbers:
        """The numbers of the examples of one global step, counted from 0 over all epochs."""
        epoch, place = divmod(step, self.steps)
        start, end = place * self.batch_size, min((place + 1) * self.batch_size, self.total)
        pieces, position = [], 0
        for shard in self._shards(epoch):
            size = self.sizes[shard]
            low, high = max(start - position, 0), min(end - position, size)
            if low < high:
                pieces.append(self._starts[shard] + self._rows(epoch, shard)[low:high])
            position += size
            if position >= end:
                break
        return np.concatenate(pieces)

    def shards_from(self, step: int) -> list[int]:
        """All shards, in the order in which they are first needed from ``step`` on."""
        epoch, place = divmod(step, self.steps)
        order, start = self._shards(epoch), place * self.batch_size
        ends = np.cumsum([self.sizes[shard] for shard in order])
        passed = int(np.searchsorted(ends, start, side="right"))
        later = [shard for shard in self._shards(epoch + 1) if shard not in order[passed:]]
        return [*order[passed:], *later]

    def _drawn_shards(self, epoch: int) -> list[int]:
        drawn = np.random.default_rng([self._seed, epoch]).permutation(len(self.sizes))
        return [int(shard) for shard in drawn]

    def _drawn_rows(self, epoch: int, shard: int) -> Numbers:
        return np.random.default_rng([self._seed, epoch, shard]).permutation(self.sizes[shard])


class InSequence:
    """The same without chance, for validation: one pass over the examples as they are numbered."""

    def __init__(self, sizes: Sequence[int], batch_size: int) -> None:
        self._total = sum(sizes)
        self._batch_size = batch_size
        self.steps = -(-self._total // batch_size)

    def batch(self, step: int) -> Numbers:
        """The numbers of the examples of one global step."""
        return np.arange(step * self._batch_size, min((step + 1) * self._batch_size, self._total), dtype=np.int64)


def share(batch: Numbers, replica: int, replicas: int, size: int) -> tuple[Numbers, NDArray[np.float32]]:
    """What one of ``replicas`` computes of a global batch: ``size`` numbers, and 1.0 for each real example.

    Its own are every ``replicas``-th; the rest is filled up with the batch's first example at weight 0, so
    that every replica runs the same shapes and what it fills up with is as harmless as real data.
    """
    own = batch[replica::replicas]
    numbers = np.full(size, batch[0], np.int64)
    numbers[: len(own)] = own
    weights = np.zeros(size, np.float32)
    weights[: len(own)] = 1.0
    return numbers, weights
