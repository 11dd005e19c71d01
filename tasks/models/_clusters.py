"""What the recipes that group rows without labels have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tasks.errors import BadInput
from tasks.models._space import Frame, RowSpace, Space, TextSpace, started
from tasks.models._tfidf import TfidfParams

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class ClustersParams(TfidfParams):
    """Base of the parameters of every recipe of clusters."""

    clusters: int = Field(8, ge=2, le=1000, description="groups to find")
    on: Literal["text", "row"] = Field(
        "text", description="what is grouped: documents by their text, or a table's rows by their columns"
    )
    dimensions: int = Field(50, ge=1, le=1000, description="of texts: the directions that tell most apart")
    sample: int = Field(2000, ge=10, description="rows that the directions and the first guess are found on")
    rare: int = Field(2, ge=1, description="of tables: rows that a category's value occurs in at least")
    sublinear_tf: bool = Field(True, description="count a term as 1 + ln(occurrences)")
    rounds: int | None = Field(
        None,
        ge=1,
        le=200,
        description="so many exact steps of all rows, in any number of shards: after each the shards' sums are added, "
        "and no shard makes steps by itself; null: it does, and one sum follows",
    )


@dataclass(frozen=True, slots=True)
class Assigned:
    """What a model of clusters says of rows."""

    points: np.ndarray
    chances: np.ndarray
    """Of each row and cluster, shape ``(rows, clusters)``, summing to 1."""
    fit: np.ndarray
    """How well each row fits: squared distance to its cluster's centre, or log-likelihood."""


class Clusters:
    """Features, start and labels of a recipe of clusters; a subclass fits."""

    spread: ClassVar[str] = "sharded"
    libraries: ClassVar[tuple[str, ...]] = ("scikit-learn", "scipy", "numpy", "safetensors")
    merges: ClassVar[tuple[str, ...]] = ("sum",)
    kinds: ClassVar[tuple[str, ...]] = ("documents", "table")
    labelled: ClassVar[bool] = False

    def __init__(self, params: ClustersParams, seed: int) -> None:
        self._clusters = params
        self._seed = seed
        self._space: Space = (
            TextSpace(params, params.dimensions, params.sample, seed)
            if params.on == "text"
            else RowSpace(params.sample, params.rare)
        )
        self.columns: tuple[str, ...] = self._space.columns

    def start(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """What every shard's fit starts from, of the sample's points."""
        raise NotImplementedError

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        return self._space.count(batches)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        import numpy as np

        features, points = self._space.combine(counts, rows)
        if not features.num_rows:
            return features
        distinct = len(np.unique(points, axis=0))
        if distinct < self._clusters.clusters:
            raise BadInput(
                f"clusters is {self._clusters.clusters}, and the {len(points)} rows that the first guess is made on "
                f"have {distinct} different places: lower it, or bring more rows"
            )
        # A first guess that was made on all rows is final: shards by themselves would only move away from it.
        final = np.array([float(len(points) == rows)])
        return started(features, {**self.start(points), "final": final})

    def rows(self, batches: Iterator[pa.Table], frame: Frame) -> np.ndarray:
        """The points of a shard."""
        import numpy as np

        return np.concatenate(
            [
                self._space.points(
                    frame, batch["text"].to_pylist(), {name: batch[name].to_pylist() for name in self.columns}
                )
                for batch in batches
            ]
        )

    def names(self, clusters: int) -> list[str]:
        """What the clusters are called: by their number, of equal length."""
        return [f"cluster {number:0{len(str(clusters - 1))}d}" for number in range(clusters)]


def same_frame(models: Sequence[Any]) -> Frame:
    """The frame of all models.

    Raises:
        BadInput: they are not of one space.
    """
    import numpy as np

    first: Frame = models[0].frame
    for model in models[1:]:
        same = model.frame.terms == first.terms and all(
            np.array_equal(model.frame.arrays[name], first.arrays[name]) for name in first.arrays
        )
        if not same:
            raise BadInput("the parts are of different spaces: prepare and train every shard again")
    return first
