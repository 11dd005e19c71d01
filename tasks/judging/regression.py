"""``regression``: a number a row; what is left between it and the truth."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from tasks.judging.base import JUDGES, Measure, described
from tasks.models._regression import targets_of
from tasks.training.metrics import MAX_SLICES
from tasks.training.scoring import slice_of

if TYPE_CHECKING:
    from tasks.models.base import Scoring
    from tasks.training.metrics import Pairs

SAMPLE = 2000
"""Rows of the smallest uids, which are a fair sample: so many the plot of residuals shows."""


@JUDGES.register("regression")
class Regression:
    """R2 (the share of the targets' variance that is explained), RMSE and mean absolute error."""

    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("r2", "R\N{SUPERSCRIPT TWO}"),
        Measure("rmse", "RMSE", rising=False, share=False),
    )

    def __init__(self, recipe: Scoring | None, model: Any, slices: Iterable[str]) -> None:
        self.labels: tuple[str, ...] = ()
        self.pairs: Pairs = Counter()
        self.mistakes: list[Any] = []
        self._names = tuple(slices)
        self._all = _Errors()
        self._slices: dict[str, dict[str, _Errors]] = {name: defaultdict(_Errors) for name in self._names}
        self._said: set[float] = set()
        self._sample: list[tuple[str, float, float]] = []

    def add(self, batch: pa.Table, said: np.ndarray) -> None:
        known = [place for place, label in enumerate(batch["label"].to_pylist()) if label is not None]
        batch, said = batch.take(known), said[known]
        truths = np.array(targets_of(batch["label"].to_pylist()))
        self._all.add(truths, said)
        if len(self._said) < 2:
            self._said.update(said.tolist())
        for name in self._names:
            values = np.array([slice_of(name, value) for value in batch[name].to_pylist()])
            for value in np.unique(values):
                self._slices[name][str(value)].add(truths[values == value], said[values == value])
        drawn = [*self._sample, *zip(batch["uid"].to_pylist(), truths.tolist(), said.tolist(), strict=True)]
        self._sample = heapq.nsmallest(SAMPLE, drawn)

    @property
    def unseen(self) -> Mapping[str, int]:
        return {}

    def metrics(self) -> dict[str, Any]:
        """Beside the measures ``mae``, ``bias`` (mean of truth less prediction), ``deviation`` (of the targets: the
        RMSE of always saying their mean) and ``distinct`` (2 if predictions differ at all, else 1)."""
        return {
            **self._all.metrics(),
            "distinct": min(len(self._said), 2),
            "measures": described(self.measures),
            "per_class": {},
            "slices": {
                name: {value: _short(values[value]) for value in _most(values)} for name, values in self._slices.items()
            },
            "unseen": {},
        }

    def plots(self, folder: Path) -> dict[str, Path]:
        """``residuals``: what is left, by what was said."""
        from tasks.reports.plots import residuals

        if not self._sample:
            return {}
        truths, said = (np.array([row[place] for row in self._sample]) for place in (1, 2))
        return {"residuals": residuals(said, truths - said, folder / "residuals.png")}

    @staticmethod
    def columns(recipe: Scoring, model: Any) -> pa.Schema:
        """``predicted``, a number."""
        return pa.schema([("predicted", pa.float64())])

    @staticmethod
    def write(recipe: Scoring, model: Any, rows: pa.RecordBatch, said: np.ndarray) -> Sequence[pa.Array]:
        return [pa.array(said, pa.float64())]

    @staticmethod
    def told(rows: pa.RecordBatch) -> Sequence[str]:
        """Nothing: numbers are not counted by name."""
        return ()

    def note(self) -> Mapping[str, str]:
        """Nothing to add to the report."""
        return {}


class _Errors:
    """Sums over rows; of the targets about the first one, so that large ones do not drown what differs."""

    def __init__(self) -> None:
        self.rows = 0
        self._about = self._sum = self._squares = self._absolute = self._left = self._bias = 0.0

    def add(self, truths: np.ndarray, said: np.ndarray) -> None:
        if not len(truths):
            return
        if not self.rows:
            self._about = float(truths[0])
        self.rows += len(truths)
        self._sum += float((truths - self._about).sum())
        self._squares += float(((truths - self._about) ** 2).sum())
        self._left += float(((truths - said) ** 2).sum())
        self._absolute += float(np.abs(truths - said).sum())
        self._bias += float((truths - said).sum())

    def metrics(self) -> dict[str, Any]:
        n = self.rows
        if not n:
            return {"rows": 0, **dict.fromkeys(("r2", "rmse", "mae", "bias", "deviation"))}
        spread = max(self._squares - self._sum**2 / n, 0.0)
        return {
            "rows": n,
            # Of targets that are all the same there is nothing to explain: as scikit-learn, 1 if all are said.
            "r2": 1 - self._left / spread if spread else float(self._left == 0),
            "rmse": math.sqrt(self._left / n) if math.isfinite(self._left) else math.nan,
            "mae": self._absolute / n,
            "bias": self._bias / n,
            "deviation": math.sqrt(spread / n),
        }


def _short(errors: _Errors) -> dict[str, Any]:
    metrics = errors.metrics()
    return {name: metrics[name] for name in ("rows", "r2", "rmse")}


def _most(values: Mapping[str, _Errors]) -> list[str]:
    return sorted(values, key=lambda value: (-values[value].rows, value))[:MAX_SLICES]
