"""The shards of a partition as one: without what is superseded or there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.cleaning.duplicates import KEPT, Verdicts, judge
from tasks.cleaning.keys import Part, scan
from tasks.cleaning.near import Signer
from tasks.cleaning.output import TableFile, Written, sha256_of
from tasks.cleaning.schema import DELETIONS, REJECTS
from tasks.config.clean import Dedup
from tasks.kinds.base import TEXTS, Likeness


@dataclass(slots=True)
class United:
    """Finished local files, and what they hold."""

    files: list[Written] = field(default_factory=list)
    kept: int = 0
    deletions: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)

    def counts(self) -> dict[str, Any]:
        """The counts of a manifest."""
        return {
            "documents": self.kept + sum(self.rejected.values()),
            "kept": self.kept,
            "rejected": dict(sorted(self.rejected.items())),
            "deletions": self.deletions,
            "languages": dict(sorted(self.languages.items())),
            "labels": dict(sorted(self.labels.items())),
        }


def unite(
    parts: Sequence[Part], dedup: Dedup, folder: Path, like: Likeness = TEXTS, signer: Signer | None = None
) -> United:
    """Write the partition's files under ``folder``: documents shard by shard, one file of rejects, one of
    deletions. A shard's file that loses nothing is taken as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    verdicts = judge(parts, dedup, folder, like, signer)
    united = United()
    rejects = TableFile("rejects", folder, REJECTS)
    deletions = TableFile("deletions", folder, DELETIONS)
    row = gone = 0
    for part in parts:
        for batch in scan(part.rejects):
            united.rejected.update(batch.column("reason").to_pylist())
            rejects.add(batch.select(REJECTS.names))
        for path in part.documents:
            rows = pq.read_metadata(path).num_rows
            target = folder / f"{len(united.files)}"
            united.files += _documents(path, verdicts, slice(row, row + rows), target, rejects, united)
            row += rows
        for batch in scan(part.deletions):
            still = batch.filter(pa.array(verdicts.deleted[gone : gone + batch.num_rows]))
            gone += batch.num_rows
            united.deletions += still.num_rows
            deletions.add(still)
    united.files += [*rejects.close(), *deletions.close()]
    return united


def _documents(
    path: Path, verdicts: Verdicts, span: slice, folder: Path, rejects: TableFile, united: United
) -> list[Written]:
    """One shard's documents that stay; the others become rejects."""
    stays = verdicts.reason[span] == KEPT
    kept = int(stays.sum())
    united.kept += kept
    if kept == len(stays):
        for batch in scan([path], ["language", "label"]):
            _count(batch, united)
        return [Written("documents", path, sha256_of(path), kept)]
    documents = TableFile("documents", folder, pq.read_schema(path))
    row = span.start
    for batch in scan([path]):
        here = verdicts.reason[row : row + batch.num_rows] == KEPT
        staying = batch.filter(pa.array(here))
        _count(staying, united)
        documents.add(staying)
        rejects.add(_rejected(batch.filter(pa.array(~here)), verdicts, row + np.flatnonzero(~here), united))
        row += batch.num_rows
    return documents.close()


def _rejected(
    documents: pa.RecordBatch, verdicts: Verdicts, rows: np.ndarray[Any, Any], united: United
) -> pa.RecordBatch:
    reasons = [verdicts.explain(row) for row in rows.tolist()]
    united.rejected.update(reason for reason, _, _ in reasons)
    columns = {name: documents.column(name) for name in ("uid", "url", "text", "timestamp")}
    for place, name in enumerate(("reason", "value", "detail")):
        columns[name] = pa.array([verdict[place] for verdict in reasons], pa.string())
    return pa.RecordBatch.from_arrays([columns[name] for name in REJECTS.names], schema=REJECTS)


def _count(documents: pa.RecordBatch, united: United) -> None:
    for name, counter in (("language", united.languages), ("label", united.labels)):
        for value in pc.value_counts(documents.column(name)).to_pylist():
            if value["values"] is not None:
                counter[value["values"]] += value["counts"]
