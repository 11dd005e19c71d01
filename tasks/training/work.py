"""What every step of a training does around its own work: open the run, claim a folder, move tables."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.catalog import FileEntry
from tasks.errors import BadInput
from tasks.step import Context, Shard, Step
from tasks.training.runs import Training
from tasks.work import Read, Work

if TYPE_CHECKING:
    import pyarrow as pa


def open_training(context: Context, snapshot: str) -> Training:
    """The training that the corpus makes of a snapshot, given by id or manifest URL.

    Its parameters are those that the corpus's search found best, if it has one.

    Raises:
        BadInput: there is no such snapshot, or the search has not come to its end.
    """
    from tasks.snapshot import resolve

    found = resolve(context, snapshot)
    if context.corpus.search is None:
        return Training.of(context.corpus, found)
    from tasks.searching.hunt import Hunt

    return Hunt.of(context.corpus, found).training(context)


def claim(
    context: Context, training: Training, step: Step, folder: str, reads: Iterable[Read] = (), own: str = ""
) -> Work:
    """The work of ``step`` in ``folder``, which reads the snapshot and ``reads``.

    The recipe's code needs no place in its fingerprint: it is part of the run's id, hence of the folder. ``own`` is
    what else shapes this work alone.
    """
    snapshot = f"snapshots/{context.corpus.corpus}/{training.snapshot_id}"
    whole = (Read(snapshot, training.snapshot, "snapshot"), *reads)
    return Work(context, step, folder, name=training.run, config=training.config + own, reads=whole)


def add_table(work: Work, role: str, table: pa.Table) -> FileEntry:
    """Store an Arrow table as Parquet."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="nightshift-table-") as scratch:
        path = Path(scratch) / f"{role}.parquet"
        pq.write_table(table, path, compression="zstd")
        return work.add(role, path, rows=table.num_rows)


def read_table(context: Context, entry: FileEntry) -> pa.Table:
    """A committed Parquet file as an Arrow table."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="nightshift-table-") as scratch:
        return pq.read_table(context.catalog.fetch(entry, Path(scratch) / "table.parquet"))


def require_shard(training: Training, shard: Shard) -> None:
    """Refuse a shard that is not one of the configuration's.

    Raises:
        BadInput: the count is not ``train.shards``.
    """
    count = training.corpus.train.shards
    if shard.count != count:
        raise BadInput(
            f"--shard {shard}: corpus {training.corpus.corpus} trains on train.shards = {count} shards, so give "
            f"--shard {min(shard.index, count - 1)}/{count}, or change train.shards"
        )


def require_part(training: Training, part: Shard) -> None:
    """Refuse a part that is not one of the configuration's.

    Raises:
        BadInput: the count is not ``train.shards``, or for a mirrored recipe its ``average``.
    """
    count = len(training.parts)
    if part.count != count:
        name = training.corpus.train.recipe.name
        key = f"train.recipe.{name}.average" if training.mirrored else "train.shards"
        raise BadInput(
            f"--part {part}: corpus {training.corpus.corpus} trains {key} = {count} parts, so give "
            f"--part {min(part.index, count - 1)}/{count}, or change {key}"
        )
