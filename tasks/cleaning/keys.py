"""What decides between documents, for all documents of a partition at once: 40 bytes each, no texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """Local copies of one shard's files, in committed order."""

    documents: tuple[Path, ...] = ()
    rejects: tuple[Path, ...] = ()
    deletions: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of rows in reading order. A 128-bit id is two columns of 64 bits."""

    uid: NDArray[np.uint64]
    """Shape ``(rows, 2)``."""
    time: Integers
    """Microseconds since 1970, UTC."""

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Keys:
        """Keys of all rows of the files."""
        uids, times = [np.empty((0, 2), np.uint64)], [np.empty(0, np.int64)]
        for batch in scan(paths, ["uid", "timestamp"]):
            uids.append(ids(batch.column("uid")))
            times.append(batch.column("timestamp").cast(pa.int64()).to_numpy())
        return cls(np.concatenate(uids), np.concatenate(times))


def scan(paths: Sequence[Path], columns: Sequence[str] | None = None, rows: int = 1024) -> Iterator[pa.RecordBatch]:
    """The files' rows in order, a batch at a time."""
    for path in paths:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=rows, columns=columns)


def ids(column: Any) -> NDArray[np.uint64]:
    """The first 128 bits of hexadecimal strings, shape ``(rows, 2)``."""
    packed = bytes.fromhex("".join(text[:32] for text in column.to_pylist()))
    return np.frombuffer(packed, ">u8").astype(np.uint64).reshape(-1, 2)


def groups(key: NDArray[np.uint64], *tie_breakers: NDArray[Any]) -> tuple[Integers, NDArray[np.bool_]]:
    """Rows ordered by ``key``, then by ``tie_breakers``; and where in that order each new key begins."""
    order = np.lexsort((*reversed(tie_breakers), key[:, 1], key[:, 0]))
    ordered = key[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order, begins


def urls(paths: Sequence[Path], rows: Integers) -> dict[int, str]:
    """The URLs of the given rows."""
    wanted, found, seen = np.sort(rows), dict[int, str](), 0
    for batch in scan(paths, ["url"]):
        here = wanted[np.searchsorted(wanted, seen) : np.searchsorted(wanted, seen + batch.num_rows)]
        found.update(zip(here.tolist(), batch.column("url").take(pa.array(here - seen)).to_pylist(), strict=True))
        seen += batch.num_rows
    return found
