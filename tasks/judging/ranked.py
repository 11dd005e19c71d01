"""``ranked``: classes, and whether the right one is among the few that a model finds likeliest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tasks.judging.base import JUDGES
from tasks.judging.classes import Classes

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tasks.models.base import Scoring

TOP = (3, 5)


@JUDGES.register("ranked")
class Ranked(Classes):
    """As ``classes``, with ``top_3`` and ``top_5``: shares of rows whose label is among so many likeliest."""

    def __init__(self, recipe: Scoring | None, model: Any, slices: Iterable[str]) -> None:
        super().__init__(recipe, model, slices)
        self._hits = dict.fromkeys(TOP, 0)

    def add(self, batch: pa.Table, said: np.ndarray) -> None:
        import numpy as np

        super().add(batch, said)
        ranked = np.argsort(-said, axis=1, kind="stable")
        for row, truth in enumerate(batch["label"].to_pylist()):
            for top in TOP:
                self._hits[top] += truth in {self.labels[place] for place in ranked[row, :top]}

    def metrics(self) -> dict[str, Any]:
        metrics = super().metrics()
        rows = metrics["rows"]
        # Among as many classes as are asked for, the right one always is.
        top = {f"top_{k}": self._hits[k] / rows for k in TOP if rows and k < len(self.labels)}
        return {**metrics, **top}
