"""The area under the ROC curve from ranks, in memory that grows with distinct probabilities, not with rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_COARSE = 12
"""Bits of a float32 that are let go: what is left tells two probabilities (or two doubts) apart that differ by a
two-thousandth of themselves; nearer ones count as equal."""
_HELD = 200_000
"""Ranks held of a label before equal ones are counted together."""


class Ranks:
    """How surely one model said each label of the rows that have it and of those that have not.

    The area is the share of pairs (a row with the label, a row without) in which the model was surer of the
    first, a tie counting half: the Mann-Whitney statistic (Hanley and McNeil, The meaning and use of the area under
    a receiver operating characteristic curve, 1982).
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = list(labels)
        self._held: list[tuple[np.ndarray, np.ndarray]] = []
        self._rows = 0
        self._counted: list[dict[bool, Counter[int]]] = [{True: Counter(), False: Counter()} for _ in labels]

    def add(self, truths: Sequence[str], chances: np.ndarray) -> None:
        """Rows by their true label and the probabilities of all labels, in the labels' order."""
        import numpy as np

        places = {label: place for place, label in enumerate(self._labels)}
        self._held.append((np.array([places.get(true, -1) for true in truths]), _ranks(chances)))
        self._rows += len(truths)
        if self._rows * len(self._labels) > _HELD:
            self._count()

    def areas(self) -> dict[str, float]:
        """The area of each label that some rows have and others have not: one label against the rest."""
        self._count()
        areas = {}
        for label, counted in zip(self._labels, self._counted, strict=True):
            having, lacking = counted[True], counted[False]
            if having and lacking:
                below, won = 0, 0.0
                for rank in sorted(having.keys() | lacking.keys()):
                    won += having[rank] * (below + lacking[rank] / 2)
                    below += lacking[rank]
                areas[label] = won / (having.total() * lacking.total())
        return areas

    def _count(self) -> None:
        import numpy as np

        for truths, ranks in self._held:
            for place, counted in enumerate(self._counted):
                for having in (True, False):
                    values, times = np.unique(ranks[(truths == place) == having, place], return_counts=True)
                    for value, n in zip(values.tolist(), times.tolist(), strict=True):
                        counted[having][value] += n
        self._held, self._rows = [], 0


def macro(areas: dict[str, float]) -> float | None:
    """The mean over labels; None without any. Of two labels it is the area of either."""
    return sum(areas.values()) / len(areas) if areas else None


def _ranks(chances: np.ndarray) -> np.ndarray:
    """Integers in the order of the probabilities; above one half by the distance from 1, where a float64 is coarse."""
    import numpy as np

    above = chances > 0.5
    near = np.where(above, 1.0 - chances, chances).clip(0.0).astype(np.float32)
    steps = near.view(np.int32).astype(np.int64) >> _COARSE
    half = int(np.float32(0.5).view(np.int32)) >> _COARSE
    return np.where(above, 2 * half - steps, steps)
