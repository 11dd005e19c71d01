"""Signatures on Spark: one portion a file of documents, in the order of the files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.catalog import FileEntry
from tasks.cleaning.keys import scan
from tasks.config.clean import Near
from tasks.kinds.base import kind_of
from tasks.spark.session import Remote, session, spark_schema
from tasks.step import Context
from tasks.text.minhash import signatures

SIGNED = pa.schema([("signatures", pa.binary())])


@dataclass(frozen=True)
class Signing:
    """What the executors know of the files."""

    remote: Remote
    files: tuple[FileEntry, ...]
    near: Near

    def sign(self, asked: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Numbers of files to the signatures of their rows, some rows at a time."""
        context = self.remote.context()
        like = kind_of(context.corpus.clean).likeness
        for number in (number for batch in asked for number in batch.column("id").to_pylist()):
            with tempfile.TemporaryDirectory(prefix="nightshift-sign-") as scratch:
                path = context.catalog.fetch(self.files[number], Path(scratch) / "documents.parquet")
                for batch in scan([path], [like.column], rows=256):
                    signed = signatures(like.words(batch.column(like.column).to_pylist()), self.near)
                    stored = pa.array([signed.astype("<u4").tobytes()], pa.binary())
                    yield pa.RecordBatch.from_arrays([stored], schema=SIGNED)


def sign_files(context: Context, files: Sequence[FileEntry], near: Near) -> Iterator[NDArray[np.uint32]]:
    """Signatures of all rows of the files, in order."""
    job = Signing(Remote.of(context), tuple(files), near)
    with session(context, "dedup") as spark:
        rows = spark.range(0, len(files), 1, len(files)).mapInArrow(job.sign, spark_schema(SIGNED))
        for row in rows.toLocalIterator():
            yield np.frombuffer(row.signatures, "<u4").reshape(-1, near.permutations)
