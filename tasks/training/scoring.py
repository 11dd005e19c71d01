"""One pass over a split with one or several models: counts for the metrics, and the worst mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasks.judging.base import JUDGES, Judge
from tasks.log import Progress
from tasks.models.base import Scoring, judge_of
from tasks.training.auc import Ranks, macro
from tasks.training.metrics import Pairs, metrics_of, slice_metrics
from tasks.training.rows import Rows

if TYPE_CHECKING:
    from tasks.step import Context
    from tasks.training.runs import Training

WORST = 25
"""Mistakes kept for the report: the ones that the model was surest of."""

_LENGTHS = ((500, "under 500"), (2_000, "500 to 2k"), (10_000, "2k to 10k"))
_LONGEST = "10k and more"


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One row that a model got wrong."""

    confidence: float
    url: str
    true: str
    predicted: str


@dataclass(slots=True)
class Scores:
    """What one model did on one split, counted by classes."""

    labels: tuple[str, ...]
    """The labels that the model can predict."""
    ranks: Ranks
    pairs: Pairs = field(default_factory=Counter)
    slices: dict[str, dict[str, Pairs]] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    @property
    def unseen(self) -> dict[str, int]:
        """Rows whose label the model never saw in training: each is an error, whatever it says."""
        rows: Counter[str] = Counter()
        for (true, _), n in self.pairs.items():
            if true not in self.labels:
                rows[true] += n
        return dict(sorted(rows.items()))

    def metrics(self) -> dict[str, Any]:
        """The metrics object of reports and manifests.

        ``auc`` is the mean over labels of the area under the ROC curve, one label against the rest: of the labels
        that the model knows, those that some of the rows have and others have not; None without any.
        """
        slices = {name: slice_metrics(values) for name, values in self.slices.items()}
        areas = self.ranks.areas()
        metrics = {**metrics_of(self.pairs), "auc": macro(areas), "slices": slices, "unseen": self.unseen}
        for label, area in areas.items():
            metrics["per_class"][label]["auc"] = area
        return metrics


def score(
    context: Context, training: Training, split: str, models: Mapping[str, tuple[Scoring, Any]]
) -> tuple[dict[str, Judge], Rows]:
    """What each named model did on one split of the training's snapshot, and the rows as they were read."""
    slices = training.corpus.train.slices
    read = [column for recipe, _ in models.values() for column in recipe.columns]
    rows = Rows(context, training, split, columns=("url", *slices, *read))
    judges = {name: JUDGES.get(judge_of(recipe))(recipe, model, slices) for name, (recipe, model) in models.items()}
    progress = Progress(context.log, "documents", rows.total)
    for batch in rows:
        texts = batch["text"].to_pylist()
        for name, (recipe, model) in models.items():
            columns = {column: batch[column].to_pylist() for column in recipe.columns}
            judges[name].add(batch, recipe.predict(model, texts, columns))
        progress.advance(batch.num_rows)
    return judges, rows


def slice_of(name: str, value: Any) -> str:
    """Under which value of a slice a row is counted."""
    if value is None:
        return "(none)"
    if name == "length":
        return next((bucket for limit, bucket in _LENGTHS if value < limit), _LONGEST)
    return str(value)
