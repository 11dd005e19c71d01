"""``classes``: one label a row; what a model says are probabilities."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from tasks.judging.base import CLASSES, JUDGES, Measure
from tasks.training.auc import Ranks
from tasks.training.scoring import WORST, Mistake, Scores, slice_of

if TYPE_CHECKING:
    import numpy as np

    from tasks.models.base import Scoring


@JUDGES.register("classes")
class Classes(Scores):
    """Accuracy, F1 of each class and their mean, AUC, confusions."""

    measures: ClassVar[tuple[Measure, ...]] = CLASSES

    def __init__(self, recipe: Scoring | None, model: Any, slices: Iterable[str]) -> None:
        known = tuple(recipe.labels(model)) if recipe else ()
        super().__init__(known, Ranks(known))
        self._names = tuple(slices)

    def add(self, batch: pa.Table, said: np.ndarray) -> None:
        best = said.argmax(axis=1)
        truths: list[str] = batch["label"].to_pylist()
        guesses = [self.labels[i] for i in best]
        confidences = said[range(len(best)), best]
        self.pairs.update(zip(truths, guesses, strict=True))
        self.ranks.add(truths, said)
        for name in self._names:
            values = self.slices.setdefault(name, defaultdict(Counter))
            for value, true, guess in zip(batch[name].to_pylist(), truths, guesses, strict=True):
                values[slice_of(name, value)][true, guess] += 1
        wrong = [
            Mistake(round(float(confidence), 6), url or "", true, guess)
            for confidence, url, true, guess in zip(confidences, batch["url"].to_pylist(), truths, guesses, strict=True)
            if true != guess
        ]
        self.mistakes = heapq.nlargest(WORST, [*self.mistakes, *wrong])

    @staticmethod
    def columns(recipe: Scoring, model: Any) -> pa.Schema:
        """``predicted``, ``confidence`` (its probability) and ``probabilities`` (a struct with one float64 a class)."""
        chances = pa.struct([(label, pa.float64()) for label in recipe.labels(model)])
        return pa.schema([("predicted", pa.string()), ("confidence", pa.float64()), ("probabilities", chances)])

    @staticmethod
    def write(recipe: Scoring, model: Any, rows: pa.RecordBatch, said: np.ndarray) -> Sequence[pa.Array]:
        labels = recipe.labels(model)
        best = said.argmax(axis=1)
        columns = [pa.array(said[:, i], pa.float64()) for i in range(len(labels))]
        fields = list(Classes.columns(recipe, model).field("probabilities").type)
        return [
            pa.array([labels[i] for i in best], pa.string()),
            pa.array(said[range(len(best)), best], pa.float64()),
            pa.StructArray.from_arrays(columns, fields=fields),
        ]

    @staticmethod
    def told(rows: pa.RecordBatch) -> Sequence[str]:
        said: list[str] = rows["predicted"].to_pylist()
        return said

    def note(self) -> Mapping[str, str]:
        """Nothing to add to the report."""
        return {}
