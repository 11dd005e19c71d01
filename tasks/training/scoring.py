"""One pass over a split with one or several models: counts for the metrics, and the worst mistakes."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasks.log import Progress
from tasks.models.base import Scoring
from tasks.training.auc import Ranks, macro
from tasks.training.metrics import Pairs, metrics_of, slice_metrics
from tasks.training.rows import Rows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

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
    """What one model did on one split."""

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

    @classmethod
    def of(cls, labels: Iterable[str]) -> Scores:
        """Of a model that knows ``labels``, before the first row."""
        known = tuple(labels)
        return cls(known, Ranks(known))


def score(
    context: Context, training: Training, split: str, models: Mapping[str, tuple[Scoring, Any]]
) -> tuple[dict[str, Scores], Rows]:
    """The scores of each named model on one split of the training's snapshot, and the rows as they were read."""
    slices = training.corpus.train.slices
    read = [column for recipe, _ in models.values() for column in recipe.columns]
    rows = Rows(context, training, split, columns=("url", *slices, *read))
    scores = {name: Scores.of(recipe.labels(model)) for name, (recipe, model) in models.items()}
    progress = Progress(context.log, "documents", rows.total)
    for batch in rows:
        texts = batch["text"].to_pylist()
        for name, (recipe, model) in models.items():
            columns = {column: batch[column].to_pylist() for column in recipe.columns}
            _count(scores[name], batch, recipe.labels(model), recipe.predict(model, texts, columns), slices)
        progress.advance(batch.num_rows)
    return scores, rows


def _count(scores: Scores, batch: pa.Table, labels: list[str], chances: np.ndarray, slices: Iterable[str]) -> None:
    best = chances.argmax(axis=1)
    truths: list[str] = batch["label"].to_pylist()
    guesses = [labels[i] for i in best]
    confidences = chances[range(len(best)), best]
    scores.pairs.update(zip(truths, guesses, strict=True))
    scores.ranks.add(truths, chances)
    for name in slices:
        values = scores.slices.setdefault(name, defaultdict(Counter))
        for value, true, guess in zip(batch[name].to_pylist(), truths, guesses, strict=True):
            values[_slice(name, value)][true, guess] += 1
    wrong = [
        Mistake(round(float(confidence), 6), url or "", true, guess)
        for confidence, url, true, guess in zip(confidences, batch["url"].to_pylist(), truths, guesses, strict=True)
        if true != guess
    ]
    scores.mistakes = heapq.nlargest(WORST, [*scores.mistakes, *wrong])


def _slice(name: str, value: Any) -> str:
    if value is None:
        return "(none)"
    if name == "length":
        return next((bucket for limit, bucket in _LENGTHS if value < limit), _LONGEST)
    return str(value)
