"""``clusters``: rows are grouped, and no label says how; silhouette, inertia, and how labels lie in the clusters."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from tasks.judging.base import JUDGES, Measure, described
from tasks.training.metrics import MAX_SLICES
from tasks.training.scoring import slice_of

if TYPE_CHECKING:
    from tasks.models._clusters import Assigned
    from tasks.models.base import Scoring
    from tasks.training.metrics import Pairs

SAMPLE = 2000
"""Rows of the smallest uids, which are a fair sample: the silhouette looks at every pair."""
SILHOUETTE = Measure("silhouette", "silhouette")
INERTIA = Measure("inertia", "inertia a row", rising=False, share=False)


@JUDGES.register("clusters")
class Clusters:
    """How near rows lie to their cluster, against the next (Rousseeuw, Silhouettes, 1987); in the model's own space.

    Of a model that puts all rows in one cluster the silhouette, which is not defined, is -1: it tells nothing apart.
    """

    measures: ClassVar[tuple[Measure, ...]] = (SILHOUETTE, INERTIA)
    fit: ClassVar[str] = "distance"
    """What is written of each row beside its cluster."""

    def __init__(self, recipe: Scoring | None, model: Any, slices: Iterable[str]) -> None:
        self.labels: tuple[str, ...] = tuple(recipe.labels(model)) if recipe else ()
        self.pairs: Pairs = Counter()
        self.mistakes: list[Any] = []
        self._names = tuple(slices)
        self._slices: dict[str, dict[str, list[float]]] = {name: defaultdict(lambda: [0, 0.0]) for name in self._names}
        self._rows: Counter[str] = Counter()
        self._fit = 0.0
        self._sample: list[tuple[str, int, np.ndarray]] = []

    def add(self, batch: pa.Table, said: Assigned) -> None:
        clusters = said.chances.argmax(axis=1)
        guesses = [self.labels[place] for place in clusters]
        self._rows.update(guesses)
        self._fit += float(said.fit.sum())
        truths = batch["label"].to_pylist()
        self.pairs.update((true, guess) for true, guess in zip(truths, guesses, strict=True) if true is not None)
        for name in self._names:
            for value, fit in zip(batch[name].to_pylist(), said.fit.tolist(), strict=True):
                found = self._slices[name][slice_of(name, value)]
                found[0] += 1
                found[1] += fit
        uids = batch["uid"].to_pylist()
        drawn = [*self._sample, *zip(uids, clusters.tolist(), said.points, strict=True)]
        self._sample = heapq.nsmallest(SAMPLE, drawn, key=lambda row: row[0])

    @property
    def unseen(self) -> Mapping[str, int]:
        return {}

    def metrics(self) -> dict[str, Any]:
        """Beside the measures ``clusters`` that have rows, ``largest_share`` of them, and where rows have labels how
        well those agree with the clusters: ``adjusted_rand`` and ``mutual_information`` (normalised)."""
        rows = self._rows.total()
        values = {"silhouette": self._silhouette(), self._mean: self._fit / rows} if rows else {}
        return {
            "rows": rows,
            **{measure.name: values.get(measure.name) for measure in self.measures},
            "measures": described(self.measures),
            "clusters": len(self._rows),
            "largest_share": max(self._rows.values()) / rows if rows else None,
            **self._agreement(),
            "per_class": {},
            "cluster_rows": {label: self._rows[label] for label in self.labels},
            "slices": {name: self._slice(values) for name, values in self._slices.items()},
            "unseen": {},
        }

    @property
    def _mean(self) -> str:
        return next(measure.name for measure in self.measures if measure.name != "silhouette")

    def _silhouette(self) -> float:
        from sklearn.metrics import silhouette_score

        said = np.array([cluster for _, cluster, _ in self._sample])
        if not 1 < len(np.unique(said)) < len(said):
            return -1.0
        return float(silhouette_score(np.stack([point for *_, point in self._sample]), said))

    def _agreement(self) -> dict[str, float]:
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

        if len({true for true, _ in self.pairs}) < 2:
            return {}
        pairs = sorted(self.pairs.items())
        true = np.repeat([label for (label, _), _ in pairs], [n for _, n in pairs])
        said = np.repeat([cluster for (_, cluster), _ in pairs], [n for _, n in pairs])
        return {
            "adjusted_rand": float(adjusted_rand_score(true, said)),
            "mutual_information": float(normalized_mutual_info_score(true, said)),
        }

    def _slice(self, values: Mapping[str, Sequence[float]]) -> dict[str, dict[str, Any]]:
        ranked = sorted(values, key=lambda value: (-values[value][0], value))[:MAX_SLICES]
        return {
            value: {"rows": int(values[value][0]), "silhouette": None, self._mean: values[value][1] / values[value][0]}
            for value in ranked
        }

    @classmethod
    def columns(cls, recipe: Scoring, model: Any) -> pa.Schema:
        """``predicted``, ``confidence`` (the cluster's probability) and how well the row fits."""
        return pa.schema([("predicted", pa.string()), ("confidence", pa.float64()), (cls.fit, pa.float64())])

    @classmethod
    def write(cls, recipe: Scoring, model: Any, rows: pa.RecordBatch, said: Assigned) -> Sequence[pa.Array]:
        labels, best = recipe.labels(model), said.chances.argmax(axis=1)
        fit = np.sqrt(said.fit) if cls.fit == "distance" else said.fit
        return [
            pa.array([labels[place] for place in best], pa.string()),
            pa.array(said.chances[range(len(best)), best], pa.float64()),
            pa.array(fit, pa.float64()),
        ]

    @staticmethod
    def told(rows: pa.RecordBatch) -> Sequence[str]:
        said: list[str] = rows["predicted"].to_pylist()
        return said

    def note(self) -> Mapping[str, str]:
        """Nothing to add to the report."""
        return {}
