"""Cleaning on Spark: shards are read, their pages spread over all slots, and the outcomes written shard by shard.

Rows keep their place in the shard and the batch that they would be in without Spark, so the files are the same.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.catalog import FileEntry, Manifest
from tasks.clean import raw_items, shard_files, shard_folder
from tasks.cleaning import schema
from tasks.cleaning.isolated import IsolatedRefiner
from tasks.cleaning.nursery import Nursery
from tasks.cleaning.output import Sink
from tasks.cleaning.raw import Gone, Raw, batches
from tasks.spark.session import Remote, session, spark_schema
from tasks.step import Context, Shard

_PLACE = pa.schema([("shard", pa.int32()), ("what", pa.string()), ("place", pa.int64()), ("batch", pa.int32())])
PAGES = pa.schema([*schema.RAW, *_PLACE])
WRITTEN = pa.schema([("shard", pa.int32()), ("result", pa.string())])
_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE, _GONE, _TALLY = "page", "gone", "tally"
_SPREAD = 4
"""More portions than slots: pages that take long are no reason to wait for one slot."""


@dataclass(frozen=True)
class Cleaning:
    """What the executors know of the partition."""

    remote: Remote
    partition: str
    raw: Manifest
    shards: tuple[Shard, ...]

    def read(self, asked: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Numbers of shards to their raw documents."""
        context = self.remote.context()
        for number in (number for batch in asked for number in batch.column("id").to_pylist()):
            tally: Counter[str] = Counter()
            gone: list[Gone] = []
            entries = shard_files(self.raw, self.shards[number])
            place = order = 0
            with tempfile.TemporaryDirectory(prefix="nightshift-clean-") as scratch:
                items = raw_items(context, self.partition, self.raw, entries, Path(scratch), tally)
                for order, batch in enumerate(batches(_pages(items, gone)), start=1):
                    yield _placed(batch, number, _PAGE, place, order)
                    place += batch.num_rows
            for kind, raws in (
                (_GONE, [Raw(each.uid, each.url, each.timestamp) for each in gone]),
                (_TALLY, [Raw("", "", _MOMENT, value=json.dumps(tally))]),
            ):
                for batch in batches(raws):
                    order += 1
                    yield _placed(batch, number, kind, place, order)
                    place += batch.num_rows

    def refine(self, pages: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Raw documents to outcomes, in child processes that may die."""
        clean = self.remote.corpus.clean
        outcomes = schema.outcomes(clean)
        nursery = Nursery(clean.extraction)
        refiner = IsolatedRefiner(clean, nursery, self.remote.context().log)
        try:
            for batch in pages:
                page = pc.equal(batch.column("what"), _PAGE)
                for rows, done in ((batch.filter(page), refiner.batch), (batch.filter(pc.invert(page)), None)):
                    if rows.num_rows:
                        raws = pa.RecordBatch.from_arrays(
                            [rows.column(field.name).cast(field.type) for field in schema.RAW], schema=schema.RAW
                        )
                        made = done(raws) if done else _widened(raws, outcomes)
                        columns = [*made.columns, *(rows.column(name) for name in _PLACE.names)]
                        yield pa.RecordBatch.from_arrays(columns, schema=pa.schema([*outcomes, *_PLACE]))
        finally:
            refiner.close()
            nursery.close()

    def write(self, outcomes: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Outcomes in order of shard and place to stored files; one row a shard."""
        context = self.remote.context()
        waiting: list[pa.RecordBatch] = []
        sink: Sink | None = None
        with tempfile.TemporaryDirectory(prefix="nightshift-clean-") as scratch:
            for part in _runs(outcomes):
                number, what, order = (part.column(name)[0].as_py() for name in ("shard", "what", "batch"))
                if waiting and waiting[0].column("batch")[0].as_py() != order:
                    assert sink is not None
                    self._take(sink, waiting)
                    waiting = []
                if sink is None:
                    sink = Sink(Path(scratch) / f"{number}", schema.documents(self.remote.corpus.clean))
                if what != _TALLY:
                    waiting.append(part)
                    continue
                yield self._stored(context, number, sink, json.loads(part.column("value")[0].as_py()))
                sink = None

    def _take(self, sink: Sink, parts: list[pa.RecordBatch]) -> None:
        whole = pa.concat_batches(parts)
        if whole.column("what")[0].as_py() == _GONE:
            rows = whole.select(["uid", "url", "timestamp"]).to_pylist()
            sink.delete([Gone(row["uid"], row["url"], row["timestamp"]) for row in rows])
        else:
            sink.add(whole.select(schema.outcomes(self.remote.corpus.clean).names))

    def _stored(self, context: Context, number: int, sink: Sink, tally: dict[str, int]) -> pa.RecordBatch:
        folder = shard_folder(self.remote.corpus.corpus, self.partition, self.shards[number])
        files = [context.catalog.add_file(folder, w.role, w.path, w.sha256, rows=w.rows) for w in sink.close()]
        result = {"files": [file.model_dump() for file in files], "counts": sink.summary(tally)}
        return pa.RecordBatch.from_arrays(
            [pa.array([number], pa.int32()), pa.array([json.dumps(result)])], schema=WRITTEN
        )


def clean_shards(
    context: Context, partition: str, raw: Manifest, shards: Sequence[Shard]
) -> Iterator[tuple[Shard, list[FileEntry], dict[str, Any]]]:
    """Stored files and counts of each of the shards."""
    job = Cleaning(Remote.of(context), partition, raw, tuple(shards))
    refined = pa.schema([*schema.outcomes(context.corpus.clean), *_PLACE])
    with session(context, "clean") as spark:
        slots = spark.sparkContext.defaultParallelism
        rows = (
            spark.range(0, len(shards), 1, len(shards))
            .mapInArrow(job.read, spark_schema(PAGES))
            # By page, not by shard: a shard that is larger than the others is everybody's work.
            .repartition(slots * _SPREAD, "shard", "place")
            .mapInArrow(job.refine, spark_schema(refined))
            .repartition(len(shards), "shard")
            .sortWithinPartitions("shard", "place")
            .mapInArrow(job.write, spark_schema(WRITTEN))
            .collect()
        )
    for row in sorted(rows, key=lambda row: int(row.shard)):
        result = json.loads(row.result)
        files = [FileEntry.model_validate(file) for file in result["files"]]
        yield shards[row.shard], files, result["counts"]


def _pages(items: Iterator[Raw | Gone], gone: list[Gone]) -> Iterator[Raw]:
    for item in items:
        if isinstance(item, Gone):
            gone.append(item)
        else:
            yield item


def _placed(batch: pa.RecordBatch, shard: int, what: str, place: int, order: int) -> pa.RecordBatch:
    count = batch.num_rows
    columns = [
        pa.array([shard] * count, pa.int32()),
        pa.array([what] * count),
        pa.array(range(place, place + count), pa.int64()),
        pa.array([order] * count, pa.int32()),
    ]
    return pa.RecordBatch.from_arrays([*batch.columns, *columns], schema=PAGES)


def _widened(raws: pa.RecordBatch, outcomes: pa.Schema) -> pa.RecordBatch:
    """Rows that are no pages, with what they have of an outcome's columns."""
    return pa.RecordBatch.from_arrays(
        [
            raws.column(field.name) if field.name in schema.RAW.names else pa.nulls(raws.num_rows, field.type)
            for field in outcomes
        ],
        schema=outcomes,
    )


def _runs(outcomes: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows, cut wherever the batch or the shard changes."""
    for batch in outcomes:
        keys = list(zip(batch.column("shard").to_pylist(), batch.column("batch").to_pylist(), strict=True))
        cuts = [0, *(row for row in range(1, len(keys)) if keys[row] != keys[row - 1]), len(keys)]
        for start, end in pairwise(cuts):
            if end > start:
                yield batch.slice(start, end - start)
