"""One split of a snapshot, or one shard of it, as a stream of Arrow tables."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import BadInput
from tasks.models.base import labelled
from tasks.step import Shard

if TYPE_CHECKING:
    from tasks.step import Context
    from tasks.training.runs import Training

BATCH_ROWS = 256
"""Rows held at a time: texts may be megabytes each."""


class Rows:
    """The rows of one split whose global position is ``shard.index`` modulo ``shard.count``.

    Iterating downloads one file at a time and yields tables of ``uid``, ``text``, ``label`` (as the
    configuration's ``train.label`` names it; null only for a recipe that needs none), what the recipe reads
    beside them, and ``columns``.
    ``unlabelled`` counts the rows left out for want of a label, once the stream has ended.
    """

    def __init__(
        self,
        context: Context,
        training: Training,
        split: str,
        shard: Shard | None = None,
        columns: tuple[str, ...] = (),
    ) -> None:
        self._context = context
        self._files = training.snapshot.of_role(split)
        self._label = training.corpus.train.label
        self._needs_label = labelled(training.recipe)
        self._columns = tuple(dict.fromkeys(("uid", "text", *training.recipe.columns, *columns)))
        self._shard = shard or Shard()
        self.unlabelled = 0

    @property
    def total(self) -> int:
        """Rows of the shard, labelled or not, as the snapshot's manifest counts them."""
        whole = sum(entry.rows for entry in self._files)
        return len(range(self._shard.index, whole, self._shard.count))

    def __iter__(self) -> Iterator[pa.Table]:
        """Raises ``BadInput`` if a column is missing, ``Corrupt`` if a file is not the committed one."""
        self.unlabelled = 0
        position = 0
        with tempfile.TemporaryDirectory(prefix="nightshift-rows-") as scratch:
            for entry in self._files:
                path = self._context.catalog.fetch(entry, Path(scratch) / "split.parquet")
                for batch in self._batches(path, entry.key):
                    mine = pc.equal(_modulo(position, batch.num_rows, self._shard.count), self._shard.index)
                    position += batch.num_rows
                    table = self._with_label(pa.Table.from_batches([batch]).filter(mine))
                    if table.num_rows:
                        yield table
                path.unlink()

    def _batches(self, path: Path, key: str) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(path) as file:
            columns = list(dict.fromkeys([*self._columns, self._label]))
            missing = [name for name in columns if name not in file.schema_arrow.names]
            if missing:
                where = "train.label" if missing == [self._label] else "the snapshot"
                raise BadInput(
                    f"{where} asks for column {', '.join(missing)}, which {self._context.store.url_of(key)} lacks; "
                    f"it has: {', '.join(file.schema_arrow.names)}"
                )
            yield from file.iter_batches(batch_size=BATCH_ROWS, columns=columns)

    def _with_label(self, table: pa.Table) -> pa.Table:
        labels = table[self._label].cast(pa.string())
        if not self._needs_label:
            return table.select(self._columns).append_column("label", labels)
        known = pc.is_valid(labels)
        kept = table.select(self._columns).append_column("label", labels).filter(known)
        self.unlabelled += table.num_rows - kept.num_rows
        return kept


def _modulo(start: int, length: int, count: int) -> pa.Array:
    return pa.array([(start + i) % count for i in range(length)], pa.int64())
