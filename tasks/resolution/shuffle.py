"""Rows that come in any order, written in order of uid: a fixed shuffle, in files of bounded size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.cleaning.keys import Integers
from tasks.cleaning.output import TableFile, Written

FILE_ROWS = 50_000
FILE_CHARACTERS = 32_000_000
BUFFER_BYTES = 64 << 20


def plan(rows: Integers, uid: NDArray[np.uint64], length: NDArray[np.int64]) -> list[Integers]:
    """The rows of each file: all of them in order of uid, a new file whenever one is full.

    A uid is a hash, so this order has nothing to do with time, site or label: whoever takes every n-th
    row, or reads from the start and stops, gets a fair sample.
    """
    order = rows[np.lexsort((uid[rows, 1], uid[rows, 0]))]
    # A short document takes as much room as one of average length in a file full of rows.
    room = np.cumsum(np.clip(length[order], FILE_CHARACTERS // FILE_ROWS, FILE_CHARACTERS))
    return np.split(order, np.flatnonzero(np.diff((room - 1) // FILE_CHARACTERS)) + 1) if len(order) else []


class Shuffle:
    """Takes rows with the number of their file, and gives each file back sorted, one at a time.

    Rows wait on disk; in memory are ``BUFFER_BYTES`` while they come, and one file while it is sorted.
    """

    def __init__(self, scratch: Path, schema: pa.Schema) -> None:
        self._scratch = scratch
        self._schema = schema
        self._waiting: dict[int, list[pa.Table]] = defaultdict(list)
        self._bytes = 0

    def add(self, table: pa.Table, files: NDArray[np.int32]) -> None:
        """Take each row of ``table`` for the file of its number; a negative number is no file."""
        table = table.cast(self._schema)
        for number in np.unique(files[files >= 0]).tolist():
            rows = table.take(pa.array(np.flatnonzero(files == number)))
            self._waiting[number].append(rows)
            self._bytes += rows.nbytes
        if self._bytes >= BUFFER_BYTES:
            self._spill()

    def files(self) -> Iterator[tuple[int, Written]]:
        """Number and local copy of each file, in order; the copy is gone when the next one is asked for."""
        self._spill()
        for path in sorted(self._scratch.glob("*.arrows"), key=lambda path: int(path.stem)):
            file = TableFile("rows", self._scratch, self._schema)
            for batch in _sorted(path).to_batches(max_chunksize=1024):
                file.add(batch)
            (written,) = file.close()
            yield int(path.stem), written
            written.path.unlink()
            path.unlink()

    def _spill(self) -> None:
        for number, tables in self._waiting.items():
            # One stream after another in one file: no limit on open files limits how many there are.
            with (
                (self._scratch / f"{number}.arrows").open("ab") as out,
                pa.ipc.new_stream(out, self._schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as stream,
            ):
                for table in tables:
                    stream.write_table(table)
        self._waiting.clear()
        self._bytes = 0


def _sorted(path: Path) -> pa.Table:
    tables = []
    size = path.stat().st_size
    with path.open("rb") as spilled:
        while spilled.tell() < size:
            with pa.ipc.open_stream(spilled) as stream:
                tables.append(stream.read_all())
    return pa.concat_tables(tables).sort_by("uid").combine_chunks()
