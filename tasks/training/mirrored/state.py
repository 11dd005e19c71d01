"""Where a training stands, beside its tensors: what it has measured so far, and what follows from that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tasks.models._fit import EarlyStopping, FitParams
from tasks.training.mirrored.schedule import LossScale


@dataclass(slots=True)
class State:
    """A position in the data, and the curves up to it. Whoever resumes it goes on as if nothing had happened."""

    step: int = 0
    """Steps done, over all epochs."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """The curves: one entry for each epoch that was finished, validated included."""
    sums: list[list[float]] = field(default_factory=list)
    """What the running epoch has measured: a row a worker, the columns examples, loss and metrics."""
    scale: LossScale = field(default_factory=LossScale)
    metrics: tuple[str, ...] = ()
    """Names of the recipe's metrics."""
    begun: dict[str, Any] | None = None
    """The champion whose weights the training began with: ``version`` and ``run``. None: it began at random."""

    def add(self, rows: Sequence[Sequence[float]]) -> None:
        """Add one step's rows to those of the epoch."""
        if len(self.sums) != len(rows):  # resumed with another number of workers: what counts is the total
            total = [sum(column) for column in zip(*self.sums, strict=True)] if self.sums else [0.0] * len(rows[0])
            self.sums = [total, *([0.0] * len(total) for _ in rows[1:])]
        self.sums = [
            [a + b for a, b in zip(before, row, strict=True)] for before, row in zip(self.sums, rows, strict=True)
        ]

    def copy(self) -> State:
        """The state as it is now, whatever is added later."""
        sums = [list(row) for row in self.sums]
        return State(self.step, list(self.epochs), sums, self.scale, self.metrics, self.begun)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> State:
        """What ``to_json`` gave.

        Raises:
            KeyError, TypeError: it is none.
        """
        scale, metrics = LossScale(**value["scale"]), tuple(value["metrics"])
        begun = value.get("begun")
        return cls(int(value["step"]), list(value["epochs"]), list(value["sums"]), scale, metrics, begun)


def means(sums: Sequence[float], names: Sequence[str]) -> dict[str, float]:
    """``loss`` and the metrics of a row of sums, whose first column counts the examples."""
    return {name: value / sums[0] for name, value in zip(("loss", *names), sums[1:], strict=True)} if sums[0] else {}


def goodness(entry: dict[str, Any], watched: EarlyStopping) -> float:
    """The watched metric of an epoch's validation, higher is better; not a number is worse than anything."""
    value = float(entry["validation"][watched.metric])
    if math.isnan(value):
        return -math.inf
    return -value if watched.metric.endswith("loss") else value


def stops(epochs: Sequence[dict[str, Any]], params: FitParams) -> bool:
    """Whether training ends after these epochs: they are all, or validation no longer gets better."""
    if len(epochs) >= params.epochs:
        return True
    if params.early_stopping is None:
        return False
    best, waited = -math.inf, 0
    for entry in epochs:
        value = goodness(entry, params.early_stopping)
        better = value > best + params.early_stopping.min_delta or best == -math.inf < value
        best, waited = (value, 0) if better else (best, waited + 1)
    return waited >= params.early_stopping.patience


def kept(epochs: Sequence[dict[str, Any]], params: FitParams) -> list[int]:
    """The epochs whose weights are kept after these, counted from 0, in order: ``average`` of them.

    The ones that validate best where training stops by validation, the earlier of equals; else the last
    ones of all.
    """
    if params.early_stopping is None:
        return [epoch for epoch in range(len(epochs)) if epoch >= params.epochs - params.average]
    watched = params.early_stopping
    ranked = sorted(range(len(epochs)), key=lambda epoch: (-goodness(epochs[epoch], watched), epoch))
    return sorted(ranked[: params.average])
