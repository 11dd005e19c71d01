"""Counting on Spark: each shard of the train split by the recipe's own ``count``, one portion a shard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tasks.prepare import counted
from tasks.spark.session import Remote, session, spark_schema
from tasks.step import Context, Shard
from tasks.training.work import open_training

COUNTED = pa.schema([("shard", pa.int32()), ("counts", pa.string()), ("table", pa.binary())])


@dataclass(frozen=True)
class Counting:
    """What the executors know of the training."""

    remote: Remote
    snapshot: str
    shards: tuple[Shard, ...]

    def count(self, asked: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Numbers of shards to what they contribute: a table of the recipe's own columns, as an Arrow stream."""
        context = self.remote.context()
        training = open_training(context, self.snapshot)
        for number in (number for batch in asked for number in batch.column("id").to_pylist()):
            table, counts = counted(context, training, self.shards[number])
            stream = pa.BufferOutputStream()
            with pa.ipc.new_stream(stream, table.schema) as out:
                out.write_table(table)
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([number], pa.int32()),
                    pa.array([json.dumps(counts)]),
                    pa.array([stream.getvalue().to_pybytes()], pa.binary()),
                ],
                schema=COUNTED,
            )


def count_shards(
    context: Context, snapshot: str, shards: Sequence[Shard]
) -> Iterator[tuple[Shard, pa.Table, dict[str, Any]]]:
    """What each of the shards contributes to the features, and its counts."""
    job = Counting(Remote.of(context), snapshot, tuple(shards))
    with session(context, "prepare") as spark:
        rows = spark.range(0, len(shards), 1, len(shards)).mapInArrow(job.count, spark_schema(COUNTED))
        for row in rows.toLocalIterator():
            with pa.ipc.open_stream(bytes(row.table)) as stream:
                yield shards[row.shard], stream.read_all(), json.loads(row.counts)
