"""What the recipes that say a number of a table's rows have in common."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from tasks.errors import BadInput
from tasks.models._space import Frame, RowSpace
from tasks.section import Section

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class RegressionParams(Section):
    """Base of the parameters of every recipe of regression."""

    rare: int = Field(2, ge=1, description="rows that a category's value occurs in at least")


class Regression:
    """Rows and targets of a recipe of regression; a subclass fits.

    A model says one number a row; ``labels`` are none.
    """

    spread: ClassVar[str] = "sharded"
    kinds: ClassVar[tuple[str, ...]] = ("table",)
    labelled: ClassVar[bool] = False
    judge: ClassVar[str] = "regression"

    def __init__(self, params: RegressionParams, seed: int) -> None:
        self._seed = seed
        self._space = RowSpace(0, params.rare)
        self.columns: tuple[str, ...] = self._space.columns

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        return self._space.count(batches)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        features, _ = self._space.combine(counts, rows)
        return features

    def rows(self, batches: Iterator[pa.Table], frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """A shard's points and targets.

        Raises:
            BadInput: a target is no number.
        """
        import numpy as np

        points, targets = [], list[float]()
        for batch in batches:
            columns = {name: batch[name].to_pylist() for name in self.columns}
            points.append(self._space.points(frame, [], columns))
            targets += targets_of(batch["label"].to_pylist())
        return np.concatenate(points), np.array(targets)


def targets_of(labels: Sequence[str | None]) -> list[float]:
    """Labels as numbers.

    Raises:
        BadInput: one is none.
    """
    targets = []
    for label in labels:
        try:
            targets.append(float(label if label is not None else "nothing"))
        except ValueError:
            targets.append(math.nan)
        if not math.isfinite(targets[-1]):
            raise BadInput(
                f"a row's target is {label!r}, not a number: name a column of type number as kind.table.target, and "
                "leave the source's columns.label out"
            )
    return targets
