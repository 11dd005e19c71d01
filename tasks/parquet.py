"""Parquet files of bounded memory: read batch by batch, written several at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.cleaning.output import TableFile, Written

BATCH_ROWS = 1024


def batches(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """A file's rows in order, at most ``BATCH_ROWS`` of one row group at a time."""
    with pq.ParquetFile(path) as file:
        # Group by group: a batch would else be filled up from as many groups of few large rows as it takes.
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=columns):
                yield pa.Table.from_batches([batch])


class Writers:
    """One Parquet file for each name that rows are written to; equal rows, equal bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, TableFile] = {}

    def write(self, name: str, table: pa.Table) -> None:
        """Append rows to ``<folder>/<name>.parquet``; nothing is made for a table without any."""
        if table.num_rows:
            file = self._files.setdefault(name, TableFile(name, self._folder, table.schema))
            for batch in table.to_batches():
                file.add(batch)

    def close(self) -> list[Written]:
        """The finished files, by name."""
        return [written for _, file in sorted(self._files.items()) for written in file.close()]
