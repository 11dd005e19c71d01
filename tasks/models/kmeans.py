"""``kmeans``: mini-batch k-means over documents or table rows; the shards' counts and sums are summed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from tasks.errors import Corrupt
from tasks.models._clusters import Assigned, Clusters, ClustersParams, same_frame
from tasks.models._space import Frame, start_of
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.section import Section
from tasks.step import Shard

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class KmeansParams(ClustersParams):
    """Parameters of ``train.recipe.kmeans``."""

    passes: int = Field(
        10,
        ge=0,
        description="without rounds: over the shard's rows in mini-batches, before the last exact one, which is merged",
    )
    batch_size: int = Field(1024, ge=1, description="rows of a mini-batch")


@dataclass(frozen=True, slots=True)
class KmeansModel:
    """Centres, float64 ``(clusters, axes)``, and the rows that each is the mean of, int64."""

    frame: Frame
    centres: np.ndarray
    rows: np.ndarray


@RECIPES.register("kmeans")
class Kmeans(Clusters):
    """scikit-learn's MiniBatchKMeans from a common start; a last exact step makes counts and sums that add up.

    Sculley, Web-Scale K-Means Clustering, 2010. With ``passes: 0`` the merged model is exactly one step of Lloyd's
    on all rows, whatever the sharding; with more, each shard has moved the centres by itself before that step. With
    ``rounds`` so many steps of Lloyd's on all rows follow one another.
    """

    Params: ClassVar[type[Section]] = KmeansParams
    version: ClassVar[int] = 2
    judge: ClassVar[str] = "clusters"

    def __init__(self, params: KmeansParams, seed: int) -> None:
        super().__init__(params, seed)
        self._params = params

    def start(self, points: np.ndarray) -> dict[str, np.ndarray]:
        from sklearn.cluster import KMeans

        found = KMeans(self._params.clusters, n_init=10, random_state=self._seed).fit(points)
        return {"centres": found.cluster_centers_}

    def fit(self, batches: Iterator[pa.Table], features: pa.Table, shard: Shard) -> KmeansModel:
        import numpy as np
        from sklearn.cluster import MiniBatchKMeans

        frame = self._space.frame(features)
        points, start = self.rows(batches, frame), start_of(features)
        centres, clusters = start["centres"], len(start["centres"])
        if rounds := self._params.rounds:
            model = self.step(frame, points, centres)
            for _ in range(rounds - 1 if shard.count == 1 else 0):
                model = self.step(frame, points, model.centres)
            return model
        if self._params.passes and not start["final"] and len(points) >= clusters:
            seed = int(np.random.SeedSequence([self._seed, shard.index]).generate_state(1)[0])
            found = MiniBatchKMeans(
                clusters,
                init=centres,
                n_init=1,
                max_iter=self._params.passes,
                batch_size=self._params.batch_size,
                reassignment_ratio=0.0,  # a centre keeps its place, so that it is the same cluster in every part
                random_state=seed,
            )
            centres = np.asarray(found.fit(points).cluster_centers_, np.float64)
        return self.step(frame, points, centres)

    def again(self, batches: Iterator[pa.Table], features: pa.Table, before: KmeansModel) -> KmeansModel:
        frame = self._space.frame(features)
        return self.step(frame, self.rows(batches, frame), before.centres)

    def step(self, frame: Frame, points: np.ndarray, centres: np.ndarray) -> KmeansModel:
        """Lloyd's: each centre becomes the mean of the rows that are nearest to it; one without any stays."""
        import numpy as np

        nearest = _squared(points, centres).argmin(axis=1)
        rows = np.bincount(nearest, minlength=len(centres))
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        moved = np.where(rows[:, None] > 0, sums / np.maximum(rows, 1)[:, None], centres)
        return KmeansModel(frame, moved, rows)

    def merge(self, models: Sequence[KmeansModel], weights: Sequence[float]) -> KmeansModel:
        """The mean of each cluster's rows in all parts; of a cluster without any, the mean of its centres."""
        import numpy as np

        frame = same_frame(models)
        rows = np.sum([model.rows for model in models], axis=0)
        sums = np.sum([model.rows[:, None] * model.centres for model in models], axis=0)
        idle = np.mean([model.centres for model in models], axis=0)
        return KmeansModel(frame, np.where(rows[:, None] > 0, sums / np.maximum(rows, 1)[:, None], idle), rows)

    def labels(self, model: KmeansModel) -> list[str]:
        return self.names(len(model.centres))

    def predict(self, model: KmeansModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> Assigned:
        """Each row's cluster for sure, and its squared distance from the centre."""
        import numpy as np

        points = self._space.points(model.frame, texts, columns)
        squared = _squared(points, model.centres)
        chances = np.zeros_like(squared)
        chances[np.arange(len(points)), squared.argmin(axis=1)] = 1.0
        return Assigned(points, chances, squared.min(axis=1))

    def facts(self, model: KmeansModel) -> dict[str, int]:
        """Clusters that have rows, terms or columns, and axes."""
        axes = model.centres.shape[1]
        return {"clusters": int((model.rows > 0).sum()), "vocabulary": len(model.frame.terms), "axes": axes}

    def save(self, model: KmeansModel, folder: Path) -> None:
        from tasks.models import _tensors

        tensors = {**model.frame.arrays, "centres": model.centres, "rows": model.rows}
        _tensors.write(folder, tensors, {"terms": model.frame.terms})

    def load(self, folder: Path) -> KmeansModel:
        from tasks.models import _tensors

        tensors, lists = _tensors.read(folder, ("terms",))
        if "centres" not in tensors or tensors["centres"].ndim != 2:
            raise Corrupt(f"{_tensors.TENSORS} has no centres")
        clusters, axes = tensors["centres"].shape
        own = self._space.layout(len(lists["terms"]), axes)
        layout = {**own, "centres": ("float64", (clusters, axes)), "rows": ("int64", (clusters,))}
        arrays = dict(zip(layout, _tensors.checked(tensors, layout), strict=True))
        frame = Frame(lists["terms"], {name: arrays[name] for name in own})
        return KmeansModel(frame, arrays["centres"], arrays["rows"])


def _squared(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances, shape ``(rows, clusters)``."""
    import numpy as np

    return np.stack([((points - centre) ** 2).sum(axis=1) for centre in centres], axis=1)
