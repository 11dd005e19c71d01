"""Some columns of committed Parquet files as frames of bounded size; texts stay where they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.log import Progress

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from tasks.catalog import FileEntry, Manifest
    from tasks.step import Context

ROWS_AT_ONCE = 500_000
"""About 100 MB of uids, URLs and digests."""
_BATCH = 65_536


def buckets_for(*manifests: Manifest) -> int:
    """Into how many frames the rows of a manifest go, the largest of them given, so that each fits."""
    rows = max(sum(entry.rows for entry in manifest.files) for manifest in manifests)
    return max(1, -(-rows // ROWS_AT_ONCE))


class Rows:
    """Rows by some of their columns; iterating gives one frame a bucket, as often as asked for.

    Rows that agree in ``by`` share a bucket: what is unique within each frame is unique.
    """

    def __init__(self, folder: Path, schema: pa.Schema, *, by: str, buckets: int) -> None:
        self._schema = schema
        self._by = by
        self._paths = [folder / f"{i}.parquet" for i in range(buckets)]
        self._writers: dict[int, pq.ParquetWriter] = {}
        folder.mkdir(parents=True)

    @property
    def columns(self) -> list[str]:
        """The columns kept."""
        return list(self._schema.names)

    def add(self, table: pa.Table) -> None:
        """Append rows of a table that has at least the columns kept."""
        self._write_by_home(table.select(self.columns).cast(self._schema))

    def _write_by_home(self, kept: pa.Table) -> None:
        if len(self._paths) == 1:
            self._write(0, kept)
            return
        homes = _hashes(kept[self._by]) % len(self._paths)
        for bucket in range(len(self._paths)):
            self._write(bucket, kept.filter(pa.array(homes == bucket)))

    def close(self) -> None:
        """No more rows follow; from here on the frames may be read."""
        for writer in self._writers.values():
            writer.close()

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for path in self._paths:
            table = pq.read_table(path) if path.exists() else self._schema.empty_table()
            yield table.to_pandas()

    def _write(self, bucket: int, table: pa.Table) -> None:
        if not table.num_rows:
            return
        if bucket not in self._writers:
            self._writers[bucket] = pq.ParquetWriter(self._paths[bucket], self._schema, compression="lz4")
        self._writers[bucket].write_table(table)


def fill(
    context: Context, entries: Sequence[FileEntry], wanted: Sequence[Rows], scratch: Path, *, expected: pa.Schema
) -> list[dict[str, str]]:
    """Read committed files once, into every one of ``wanted``; ``role`` is a column of each row.

    Returns for each ``column`` of ``expected`` in each file its ``type`` and the ``expected`` one. A file
    that has another type, or lacks a column, is not read further.

    Raises:
        Corrupt: a file's bytes are not the committed ones.
    """
    columns = sorted({name for rows in wanted for name in rows.columns} - {"role"})
    progress = Progress(context.log, "rows", sum(entry.rows for entry in entries))
    types: list[dict[str, str]] = []
    for entry in entries:
        path = context.catalog.fetch(entry, scratch / "part.parquet")
        with pq.ParquetFile(path) as file:
            found = _types(entry.key, file.schema_arrow, expected)
            types += found
            if differing(found):
                continue
            for batch in file.iter_batches(batch_size=_BATCH, columns=columns):
                table = pa.Table.from_batches([batch])
                table = table.append_column("role", pa.array([entry.role] * table.num_rows, pa.string()))
                for rows in wanted:
                    rows.add(table)
                progress.advance(table.num_rows)
        path.unlink()
    for rows in wanted:
        rows.close()
    return types


def differing(types: Sequence[dict[str, str]]) -> int:
    """How many columns are not of the expected type."""
    return sum(each["type"] != each["expected"] for each in types)


def _types(file: str, found: pa.Schema, expected: pa.Schema) -> list[dict[str, str]]:
    there = {field.name: str(field.type).removeprefix("large_") for field in found}
    return [
        {"column": f"{field.name} of {file}", "type": there.get(field.name, "missing"), "expected": str(field.type)}
        for field in expected
    ]


def _hashes(column: pa.ChunkedArray) -> NDArray[np.uint64]:
    from pandas.util import hash_array

    hashes: NDArray[np.uint64] = hash_array(column.to_pandas().fillna("").to_numpy(dtype=object), categorize=False)
    return hashes
