"""Parquet files of documents, rejects and deletions, written as they come, the same bytes every time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.cleaning.raw import Gone
from tasks.cleaning.schema import DELETIONS, SHARD_REJECTS

_GROUP_ROWS = 4096
_GROUP_BYTES = 32 << 20
"""A row group is closed by whichever comes first: what a reader holds at once."""


@dataclass(frozen=True, slots=True)
class Written:
    """A finished local file."""

    role: str
    path: Path
    sha256: str
    rows: int


class TableFile:
    """One Parquet file, row group by row group; no file at all without rows."""

    def __init__(self, role: str, folder: Path, schema: pa.Schema) -> None:
        self.role = role
        self.path = folder / f"{role}.parquet"
        self.rows = 0
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Append rows of the file's schema."""
        if batch.num_rows:
            self._waiting.append(batch)
            self._waiting_rows += batch.num_rows
            self._waiting_bytes += batch.nbytes
            if self._waiting_rows >= _GROUP_ROWS or self._waiting_bytes >= _GROUP_BYTES:
                self._flush()

    def close(self, *, even_empty: bool = False) -> list[Written]:
        """Finish the file; a list of one, or of none when there were no rows."""
        self._flush()
        if self._writer is None and even_empty:
            self._open()
        if self._writer is None:
            return []
        self._writer.close()
        return [Written(self.role, self.path, sha256_of(self.path), self.rows)]

    def _flush(self) -> None:
        if self._waiting:
            self._open().write_table(pa.Table.from_batches(self._waiting, self._schema), row_group_size=1 << 30)
            self.rows += self._waiting_rows
            self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0

    def _open(self) -> pq.ParquetWriter:
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(
                self.path, self._schema, compression="zstd", use_dictionary=["label", "language", "group", "reason"]
            )
        return self._writer


class Sink:
    """Takes outcomes and deletions, counts them, and makes up to three files of them."""

    def __init__(self, folder: Path, documents: pa.Schema) -> None:
        self.counts: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self._columns = documents.names
        self._documents = TableFile("documents", folder, documents)
        self._rejects = TableFile("rejects", folder, SHARD_REJECTS)
        self._deletions = TableFile("deletions", folder, DELETIONS)

    def add(self, outcomes: pa.RecordBatch) -> None:
        """Sort a batch of outcomes into documents and rejects."""
        kept = pc.is_null(outcomes.column("reason"))
        rejects = outcomes.filter(pc.invert(kept))
        place = np.flatnonzero(~kept.to_numpy(zero_copy_only=False)) + self.counts["documents"]
        rejects = rejects.append_column("place", pa.array(place, pa.int64()))
        self.counts["documents"] += outcomes.num_rows
        self.counts["kept"] += outcomes.num_rows - rejects.num_rows
        self.rejected.update(rejects.column("reason").to_pylist())
        self._documents.add(outcomes.filter(kept).select(self._columns))
        self._rejects.add(rejects.select(SHARD_REJECTS.names))

    def delete(self, gone: Sequence[Gone]) -> None:
        """Note pages that are no more."""
        rows = [{"uid": g.uid, "url": g.url, "timestamp": g.timestamp} for g in gone]
        self.counts["deletions"] += len(rows)
        self._deletions.add(pa.RecordBatch.from_pylist(rows, schema=DELETIONS))

    def summary(self, tally: Mapping[str, int]) -> dict[str, Any]:
        """The counts of a manifest: what was written, and what the reader counted."""
        return {
            "documents": self.counts["documents"],
            "kept": self.counts["kept"],
            "rejected": dict(sorted(self.rejected.items())),
            "deletions": self.counts["deletions"],
            "unchanged": tally.get("unchanged", 0),
            **{name: count for name in ("damaged", "malformed") if (count := tally.get(name))},
        }

    def close(self, *, even_empty: bool = False) -> list[Written]:
        """Finish the files, in the order documents, rejects, deletions."""
        files = (self._documents, self._rejects, self._deletions)
        return [written for file in files for written in file.close(even_empty=even_empty)]


def sha256_of(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
