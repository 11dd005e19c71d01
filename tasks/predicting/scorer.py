"""A champion and the Parquet files that it fills, batch by batch."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.judging.base import JUDGES
from tasks.model_registry import Champion
from tasks.models.base import judge_of

if TYPE_CHECKING:
    from tasks.models.base import Scoring

BATCH_ROWS = 256
"""Rows scored at a time: texts may be megabytes each."""


class Scorer:
    """Scores rows with one loaded model, and counts what it says.

    Columns: ``uid``, ``url`` and those of the recipe's judge: of classes ``predicted``, ``confidence`` (its
    probability, float64) and ``probabilities`` (a struct with one float64 a class). The file's metadata says which
    version they are from.
    """

    def __init__(self, champion: Champion, recipe: Scoring, model: Any) -> None:
        self._recipe = recipe
        self._model = model
        self._judge = JUDGES.get(judge_of(recipe))
        self.columns = tuple(dict.fromkeys(("uid", "url", "text", *recipe.columns)))
        """What a row must have to be scored."""
        self.said: Counter[str] = Counter()
        self.rows = 0
        self.schema = pa.schema(
            [("uid", pa.string()), ("url", pa.string()), *self._judge.columns(recipe, model)],
            metadata={
                "nightshift.corpus": champion.corpus,
                "nightshift.version": str(champion.version),
                "nightshift.run": champion.run,
                "nightshift.model": champion.digest,
                "nightshift.recipe": champion.recipe,
                "nightshift.labels": json.dumps(recipe.labels(model), ensure_ascii=False),
            },
        )

    def score(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The predictions of some rows, in order."""
        beside = {name: rows[name].to_pylist() for name in self._recipe.columns}
        said = self._recipe.predict(self._model, rows["text"].to_pylist(), beside)
        columns = self._judge.write(self._recipe, self._model, rows, said)
        scored = pa.RecordBatch.from_arrays([rows["uid"], rows["url"], *columns], schema=self.schema)
        self.rows += scored.num_rows
        self.said.update(self._judge.told(scored))
        return scored


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
