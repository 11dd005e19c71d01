"""Batches made ready by a thread while the step before them runs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.models.base import MirroredRecipe
from tasks.training.mirrored.examples import Examples
from tasks.training.mirrored.order import Numbers, share

_AHEAD = 3


@dataclass(frozen=True, slots=True)
class Share:
    """What one replica computes of a global batch."""

    arrays: Mapping[str, NDArray[Any]]
    real: NDArray[np.float32]
    """1 for each example, 0 for what fills up."""
    weights: NDArray[np.float32]
    """The same, times the weight of the example's class."""


@dataclass(frozen=True, slots=True)
class Batch:
    """This worker's part of one global batch."""

    step: int
    examples: int
    """Real ones, over all workers."""
    shares: Sequence[Share]
    """One for each of this worker's replicas."""


@dataclass(frozen=True, slots=True)
class Slicer:
    """Cuts a global batch into the shares of this worker's replicas."""

    recipe: MirroredRecipe
    examples: Examples
    replicas: range
    """This worker's, of all."""
    total: int
    """Replicas of all workers."""
    size: int
    """Examples of one share."""
    class_weights: NDArray[np.float32] | None = None
    """By the number of the label."""

    def batch(self, split: str, step: int, numbers: Numbers) -> Batch:
        """The shares of the global batch of these examples."""
        return Batch(step, len(numbers), [self._share(split, numbers, replica) for replica in self.replicas])

    def _share(self, split: str, numbers: Numbers, replica: int) -> Share:
        mine, real = share(numbers, replica, self.total, self.size)
        columns = self.examples.take(split, mine)
        weights = real
        if self.class_weights is not None and split == "train":
            weights = real * self.class_weights[np.asarray(columns["label"])]
        return Share(self.recipe.inputs(columns), real, weights)


def balanced(labels: Mapping[int, int]) -> NDArray[np.float32]:
    """The weight of each label's examples, rows / (labels * rows of the label): scikit-learn's ``balanced``.

    A number that is no label has weight 0: no example has it.
    """
    rows = sum(labels.values())
    weights = np.zeros(max(labels) + 1, np.float32)
    for label, count in labels.items():
        weights[label] = rows / (len(labels) * count)
    return weights


class Feed:
    """The batches of some steps in order, a few of them ready ahead."""

    def __init__(self, make: Callable[[int], Batch], steps: range) -> None:
        self._make = make
        self._steps = steps
        self._ready: queue.Queue[Batch | Exception] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="feed", daemon=True).start()

    def get(self, timeout: float | None = None) -> Batch | None:
        """The next batch; None if it is not ready after ``timeout`` seconds.

        Raises whatever making it raised.
        """
        try:
            item = self._ready.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        """Make no more."""
        self._closed.set()

    def _run(self) -> None:
        try:
            for step in self._steps:
                self._put(self._make(step))
                if self._closed.is_set():
                    return
        except Exception as error:  # noqa: BLE001  # raised again by ``get``
            self._put(error)

    def _put(self, item: Batch | Exception) -> None:
        while not self._closed.is_set():
            try:
                return self._ready.put(item, timeout=1)
            except queue.Full:
                continue
