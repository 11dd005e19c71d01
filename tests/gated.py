"""What the gates judge, committed as the steps would: real Parquet files, real manifests."""

from __future__ import annotations

import copy
import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.engine.run import run_gate
from tasks.catalog import FileEntry, Input, Manifest
from tasks.cleaning import schema
from tasks.config.clean import Clean
from tasks.stats import stats
from tasks.step import Context
from tasks.work import Read

DAY = "2026-11-20"
RUN = "b" * 16
AT = datetime(2026, 11, 21, tzinfo=UTC)
DOCUMENTS = schema.documents(Clean())
RAW_COUNTS = {"documents": 40, "unchanged": 60, "gone": 0, "visited": 102, "errors": 2, "bytes": 9000, "skipped": {}}

Row = dict[str, Any]


def document(i: int, **changed: Any) -> Row:
    """One clean document; ``i`` makes it different from the others."""
    url = f"http://site/page/{i}"
    row = {
        "uid": hashlib.sha256(url.encode()).hexdigest()[:32],
        "url": url,
        "text": f"text number {i}",
        "label": "json" if i % 2 else "csv",
        "language": "en",
        "length": 14,
        "title": "",
        "timestamp": None,
        "digest": hashlib.sha256(f"text {i}".encode()).hexdigest(),
        "group": "site",
    }
    return {**row, **changed}


def documents(count: int = 40) -> list[Row]:
    """So many clean documents, half of each label."""
    return [document(i) for i in range(count)]


def scores(f1: dict[str, float | None], *, support: int = 50, **overall: float | None) -> dict[str, Any]:
    """A validation report with these F1 by class; accuracy and macro-F1 are their mean unless given."""
    mean = sum(value or 0.0 for value in f1.values()) / len(f1)
    per_class = {label: {"precision": v, "recall": v, "f1": v, "support": support} for label, v in f1.items()}
    return {"rows": support * len(f1), "accuracy": mean, "macro_f1": mean, "per_class": per_class, **overall}


@dataclass(frozen=True, slots=True)
class Gated:
    """Commits inputs of gates into a context's store."""

    context: Context
    scratch: Path

    def raw(self, day: str = DAY, **counts: Any) -> Manifest:
        """A crawled partition; a count given as None is left out."""
        merged = {name: value for name, value in {**RAW_COUNTS, **counts}.items() if value is not None}
        return self._commit(f"raw/docs/{day}", "crawl", day, counts=merged)

    def clean(
        self, rows: list[Row], day: str = DAY, *, rejected: int = 0, table: pa.Table | None = None, **counts: Any
    ) -> Manifest:
        """A cleaned partition of these rows (or this table) in two files."""
        folder, half = f"clean/docs/{day}", len(rows) // 2
        parts = [table] if table is not None else [_table(part) for part in (rows[:half], rows[half:]) if part]
        kept = sum(part.num_rows for part in parts)
        return self._commit(
            folder,
            "dedup",
            day,
            files=[self.file(folder, "documents", part) for part in parts],
            counts={
                "documents": kept + rejected,
                "kept": kept,
                "rejected": {"length.short": rejected} if rejected else {},
                "deletions": 0,
                "unchanged": 0,
                **counts,
            },
        )

    def counted(self, rows: list[Row], day: str = DAY, **counts: Any) -> Manifest:
        """A cleaned partition, as ``clean`` makes it, and its statistics."""
        manifest = self.clean(rows, day, **counts)
        stats(self.context, day)
        return manifest

    def rejects(self, folder: str, count: int, role: str = "rejects") -> FileEntry:
        """A file of so many rejected pages, as clean keeps them or (role ``rejected``) as split carries them along."""
        rows = [{"uid": f"{i:032x}", "url": f"http://site/bad/{i}", "reason": "length.short"} for i in range(count)]
        return self.file(folder, role, pa.Table.from_pylist(rows, schema=schema.REJECTS))

    def staging(self, day: str = DAY, *, deletions: int = 0, **splits: list[Row]) -> Manifest:
        """A split partition; each keyword is a role."""
        folder = f"staging/docs/{day}"
        files = [self.file(folder, role, _table(rows)) for role, rows in splits.items() if rows]
        if deletions:
            files.append(self.deletions(folder, deletions))
        return self._commit(
            folder, "split", day, files=files, counts={role: len(rows) for role, rows in splits.items()}
        )

    def features(self, *, labels: dict[str, int], vocabulary: int = 500, validation: int = 20) -> Manifest:
        """United features of a snapshot with so many validation rows."""
        folder = f"snapshots/docs/{'a' * 16}"
        files = [self.file(folder, "validation", _table(documents(validation)))] if validation else []
        snapshot = self._commit(folder, "snapshot", "a" * 16, files=files, counts={})
        counts = {"rows": sum(labels.values()), "unlabelled": 0, "vocabulary": vocabulary, "labels": labels}
        read = Input(name=folder, digest=snapshot.digest())
        return self._commit(f"features/docs/{RUN}", "combine", RUN, counts=counts, inputs=(read,))

    def model(
        self,
        ours: dict[str, Any],
        theirs: dict[str, Any] | None = None,
        folds: list[float] | None = None,
        **champion: Any,
    ) -> Manifest:
        """A candidate and its report; ``theirs`` are the champion's scores on the same rows, ``folds`` the scores of
        folds, whatever the measure."""
        rival = {"version": 3, "run": "c" * 16, "metrics": {"validation": theirs}, "trained_on": None, **champion}
        details = {"metrics": {"validation": ours}, "champion": rival if theirs else None}
        if folds:
            told = {"title": "", "mean": fmean(folds), "deviation": stdev(folds), "values": folds}
            details["folds"] = {
                "count": len(folds),
                "rows": [],
                "measures": dict.fromkeys(("macro_f1", "accuracy"), told),
            }
        candidate = self._commit(f"models/docs/{RUN}", "merge", RUN, counts={"weights": str(ours)})
        self._commit(f"reports/docs/{RUN}", "evaluate", RUN, counts={}, details=details)
        return candidate

    def deletions(self, folder: str, count: int) -> FileEntry:
        """A file of so many deleted pages."""
        rows = [{"uid": f"{i:032x}", "url": f"http://site/gone/{i}", "timestamp": None} for i in range(count)]
        return self.file(folder, "deletions", pa.Table.from_pylist(rows, schema=schema.DELETIONS))

    def file(self, folder: str, role: str, table: pa.Table) -> FileEntry:
        """A stored Parquet file."""
        path = self.scratch / f"{uuid.uuid4().hex}.parquet"
        pq.write_table(table, path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return self.context.catalog.add_file(folder, role, path, sha256, rows=table.num_rows)

    def recommit(self, manifest: Manifest, folder: str, **update: Any) -> Manifest:
        """The same manifest with other content."""
        changed = manifest.model_copy(update=copy.deepcopy(update))
        self.context.catalog.commit(folder, changed)
        return changed

    def read(self, folder: str) -> Read:
        """What a downstream step does first: raises if the manifest is quarantined."""
        return Read(folder, self.context.catalog.load(folder, made_by="step"), "step")

    def _commit(
        self,
        folder: str,
        step: str,
        name: str,
        *,
        counts: dict[str, Any],
        files: list[FileEntry] | None = None,
        details: dict[str, Any] | None = None,
        inputs: tuple[Input, ...] = (),
    ) -> Manifest:
        manifest = Manifest(
            step=step,
            corpus=self.context.corpus.corpus,
            partition=name,
            fingerprint=name,
            code={},
            config="",
            inputs=inputs,
            files=tuple(files or ()),
            counts=counts,
            details=details or {},
        )
        self.context.catalog.commit(folder, manifest)
        return manifest


def _table(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=DOCUMENTS)


def name_of(stage: str) -> str:
    return RUN if stage in ("features", "model") else DAY


def judge(given: Gated, stage: str, name: str | None = None) -> dict[str, Any]:
    """Run a gate; the details of its verdict."""
    run_gate(given.context, stage, name or name_of(stage), AT)
    return verdict(given, stage, name)


def verdict(given: Gated, stage: str, name: str | None = None) -> dict[str, Any]:
    manifest = given.context.catalog.current(f"gates/docs/{stage}/{name or name_of(stage)}")
    assert manifest is not None
    return manifest.details
