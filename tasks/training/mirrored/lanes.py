"""Which windows of a stream make which global batch: a function of seed, epoch and step alone, never of the workers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.training.mirrored.order import Numbers


class Lanes:
    """Examples are windows, numbered through the shards: one stream, read in ``batch_size`` lanes side by side.

    Each lane is a stretch of the stream; a step takes the next window of each, so that the row of a batch is the number
    of its lane in every step. Every epoch visits each window once. Where the stream is cut is drawn for each epoch: a
    window is not for ever the first of its lane, which knows nothing of the text before it.
    """

    def __init__(self, seed: int | None, sizes: Sequence[int], batch_size: int) -> None:
        """``sizes`` are the shards' numbers of windows; ``seed`` None cuts the stream at its begin each time."""
        self.total = sum(sizes)
        self.steps = -(-self.total // batch_size)
        """Steps of an epoch; in the last one some lanes may have ended."""
        lanes = min(batch_size, self.total)
        whole, longer = divmod(self.total, lanes) if lanes else (0, 0)
        # The longer lanes first: those that are left in the last step are then still in their rows.
        self._lengths = np.array([whole + (lane < longer) for lane in range(lanes)], np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._seed = None if seed is None else seed % 2**64
        self._shards = len(sizes)

    def batch(self, step: int) -> Numbers:
        """The numbers of the windows of one global step, by lane; steps are counted from 0 over all epochs."""
        epoch, place = divmod(step, self.steps)
        return (self._starts[self._lengths > place] + place + self._shift(epoch)) % self.total

    def shards_from(self, step: int) -> list[int]:
        """All shards: the lanes of the first step already lie in all of them."""
        return list(range(self._shards))

    def _shift(self, epoch: int) -> int:
        return 0 if self._seed is None else int(np.random.default_rng([self._seed, epoch]).integers(self.total))
