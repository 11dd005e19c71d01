"""The documents of all published partitions, numbered in publication order: their keys, and their rows again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.catalog import FileEntry
from tasks.cleaning.keys import ids
from tasks.errors import BadInput
from tasks.parquet import batches
from tasks.resolution.rules import UNASSIGNED, Events
from tasks.splits.base import SPLITS, Strategy
from tasks.step import Context
from tasks.work import Read

ASSIGNABLE = ["uid", "url", "label", "group", "timestamp"]
ROLES = (*SPLITS, "unassigned")


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive documents of one partition; ``span`` are their numbers."""

    table: pa.Table
    span: slice
    partition: int


@dataclass(frozen=True, slots=True)
class Keys:
    """What decides about each document: some 45 bytes of it."""

    uid: NDArray[np.uint64]
    digest: NDArray[np.uint64]
    """128 bits of the text's digest."""
    partition: NDArray[np.int32]
    split: NDArray[np.int8]
    length: NDArray[np.int64]
    assignable: pa.Table | None
    """The columns that a strategy looks at, where it must see all documents at once."""

    @property
    def documents(self) -> Events:
        return Events(self.uid, self.partition)

    def hex(self, row: int) -> str:
        """A document's uid as its column has it."""
        high, low = (int(half) for half in self.uid[row])
        return f"{high:016x}{low:016x}"


class Published:
    """Published partitions in order; one file at a time has a local copy, under ``scratch``."""

    def __init__(self, context: Context, partitions: Sequence[Read], scratch: Path) -> None:
        self._context = context
        self._partitions = partitions
        self._scratch = scratch
        self.count = sum(entry.rows for each in partitions for entry in each.manifest.of_role(*ROLES))

    def rows(self, columns: list[str], wanted: NDArray[np.bool_] | None = None) -> Iterator[Rows]:
        """Every document, or those of the files that have one of the ``wanted``."""
        first = 0
        for index, each in enumerate(self._partitions):
            for entry in each.manifest.of_role(*ROLES):
                if wanted is None or wanted[first : first + entry.rows].any():
                    for table in self._tables(entry, columns):
                        yield Rows(table, slice(first, first + table.num_rows), index)
                        first += table.num_rows
                else:
                    first += entry.rows

    def events(self, role: str) -> Events:
        """The uids in the files of a role that names documents without their text."""
        uids, partitions = [np.empty((0, 2), np.uint64)], [np.empty(0, np.int32)]
        for index, each in enumerate(self._partitions):
            for entry in each.manifest.of_role(role):
                for table in self._tables(entry, ["uid"]):
                    uids.append(ids(table["uid"]))
                    partitions.append(np.full(table.num_rows, index, np.int32))
        return Events(np.concatenate(uids), np.concatenate(partitions))

    def keys(self, strategy: Strategy) -> Keys:
        """The keys of every document; the splits are those that the strategy gives today.

        What was ingested under other ratios or another seed is thereby divided as what comes now is.
        """
        keys = Keys(
            uid=np.empty((self.count, 2), np.uint64),
            digest=np.empty((self.count, 2), np.uint64),
            partition=np.empty(self.count, np.int32),
            split=np.full(self.count, UNASSIGNED, np.int8),
            length=np.empty(self.count, np.int64),
            assignable=None,
        )
        whole = []
        for rows in self.rows([*ASSIGNABLE, "digest", "length"]):
            keys.uid[rows.span] = ids(rows.table["uid"])
            keys.digest[rows.span] = ids(rows.table["digest"])
            keys.partition[rows.span] = rows.partition
            keys.length[rows.span] = rows.table["length"].to_numpy()
            if strategy.frozen:
                keys.split[rows.span] = numbered(strategy.assign(rows.table))
            else:
                whole.append(rows.table.select(ASSIGNABLE))
        if not whole:
            return keys
        return Keys(keys.uid, keys.digest, keys.partition, keys.split, keys.length, pa.concat_tables(whole))

    def _tables(self, entry: FileEntry, columns: list[str]) -> Iterator[pa.Table]:
        path = self._context.catalog.fetch(entry, self._scratch / "published.parquet")
        missing = [name for name in columns if name not in pq.read_schema(path).names]
        if missing:
            raise BadInput(
                f"{self._context.store.url_of(entry.key)} lacks the column(s) {', '.join(missing)}: "
                "it was made by another version; ingest that partition again"
            )
        yield from batches(path, columns)
        path.unlink()


def numbered(splits: pa.Array) -> NDArray[np.int8]:
    """Names of splits as indices into ``SPLITS``."""
    return np.array([SPLITS.index(name) for name in splits.to_pylist()], np.int8)
