"""A champion and the Parquet files that it fills, batch by batch."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.model_registry import Champion

if TYPE_CHECKING:
    from tasks.models.base import Scoring

BATCH_ROWS = 256
"""Rows scored at a time: texts may be megabytes each."""


class Scorer:
    """Scores rows with one loaded model, and counts what it says.

    Columns: ``uid``, ``url``, ``predicted``, ``confidence`` (its probability, float64), ``probabilities``
    (a struct with one float64 a class). The file's metadata says which version they are from.
    """

    def __init__(self, champion: Champion, recipe: Scoring, model: Any) -> None:
        self._recipe = recipe
        self._model = model
        self._labels = recipe.labels(model)
        self.columns = tuple(dict.fromkeys(("uid", "url", "text", *recipe.columns)))
        """What a row must have to be scored."""
        self.said: Counter[str] = Counter()
        chances = pa.struct([(label, pa.float64()) for label in self._labels])
        self.schema = pa.schema(
            [
                ("uid", pa.string()),
                ("url", pa.string()),
                ("predicted", pa.string()),
                ("confidence", pa.float64()),
                ("probabilities", chances),
            ],
            metadata={
                "nightshift.corpus": champion.corpus,
                "nightshift.version": str(champion.version),
                "nightshift.run": champion.run,
                "nightshift.model": champion.digest,
                "nightshift.recipe": champion.recipe,
                "nightshift.labels": json.dumps(self._labels, ensure_ascii=False),
            },
        )

    def score(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The predictions of some rows, in order."""
        beside = {name: rows[name].to_pylist() for name in self._recipe.columns}
        chances = self._recipe.predict(self._model, rows["text"].to_pylist(), beside)
        best = chances.argmax(axis=1)
        predicted = [self._labels[i] for i in best]
        self.said.update(predicted)
        columns = [pa.array(chances[:, i], pa.float64()) for i in range(len(self._labels))]
        return pa.RecordBatch.from_arrays(
            [
                rows["uid"],
                rows["url"],
                pa.array(predicted, pa.string()),
                pa.array(chances[range(len(best)), best], pa.float64()),
                pa.StructArray.from_arrays(columns, fields=list(self.schema.field("probabilities").type)),
            ],
            schema=self.schema,
        )


class Predictions:
    """One Parquet file of predictions; equal rows, equal bytes."""

    def __init__(self, path: Path, scorer: Scorer) -> None:
        self._scorer = scorer
        self._writer = pq.ParquetWriter(path, scorer.schema, compression="zstd", use_dictionary=["predicted"])
        self.path = path
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Score rows that have at least the scorer's ``columns``, and append what comes of them."""
        for start in range(0, batch.num_rows, BATCH_ROWS):
            scored = self._scorer.score(batch.slice(start, BATCH_ROWS))
            self._writer.write_batch(scored)
            self.rows += scored.num_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._writer.close()
