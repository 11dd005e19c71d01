"""Published partitions and snapshots of given documents, made by the real steps from a clean partition."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.catalog import Input, Manifest
from tasks.cleaning import schema
from tasks.config import Corpus
from tasks.snapshot import resolve, snapshot
from tasks.split import split
from tasks.step import Context, StepResult
from tasks.upload import upload

Row = dict[str, Any]
LOREM = "the moon rose over the quiet harbour while seven old boats slept along the wall and nobody spoke a word "


def uid(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:32]


def document(url: str, text: str, **values: Any) -> Row:
    row = {
        "uid": uid(url),
        "url": url,
        "text": text,
        "label": "a",
        "language": "en",
        "length": len(text),
        "title": "",
        "timestamp": datetime(2026, 11, 20, tzinfo=UTC),
        "digest": hashlib.sha256(text.encode()).hexdigest(),
        "group": "site",
    }
    return row | values


def texts(count: int, start: int = 0) -> list[Row]:
    """Documents with nothing in common."""
    return [
        document(f"http://site/{n}", f"{n} " + " ".join(f"w{n}x{i}" for i in range(20)))
        for n in range(start, start + count)
    ]


class Days:
    """Publishes days of one corpus, and makes snapshots of them."""

    def __init__(self, context: Context, scratch: Path) -> None:
        self.context = context
        self._scratch = scratch

    def clean(
        self, day: str, documents: Iterable[Row] = (), gone: Iterable[str] = (), rejected: Iterable[str] = ()
    ) -> Manifest:
        """Commit a clean partition, as dedup does."""
        folder = f"clean/{self.context.corpus.corpus}/{day}"
        at = datetime(2026, 11, 20, tzinfo=UTC)
        tables = {
            "documents": pa.Table.from_pylist(list(documents), schema=schema.documents(self.context.corpus.clean)),
            "rejects": pa.Table.from_pylist(
                [
                    {"uid": uid(u), "url": u, "reason": "length.min_words", "text": "x", "timestamp": at}
                    for u in rejected
                ],
                schema=schema.REJECTS,
            ),
            "deletions": pa.Table.from_pylist(
                [{"uid": uid(u), "url": u, "timestamp": at} for u in gone], schema=schema.DELETIONS
            ),
        }
        files = []
        for role, table in tables.items():
            if table.num_rows:
                path = self._scratch / f"{role}.parquet"
                pq.write_table(table, path)
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                files.append(self.context.catalog.add_file(folder, role, path, digest, rows=table.num_rows))
        manifest = Manifest(
            step="dedup",
            corpus=self.context.corpus.corpus,
            partition=day,
            fingerprint=day,
            code={},
            config="",
            inputs=(Input(name=f"raw/docs/{day}", digest=day),),
            files=tuple(files),
        )
        self.context.catalog.commit(folder, manifest)
        return manifest

    def publish(self, day: str, *documents: Row, gone: Iterable[str] = (), rejected: Iterable[str] = ()) -> None:
        """Clean, split and upload one day."""
        self.clean(day, documents, gone, rejected)
        split(self.context, day)
        upload(self.context, day)

    def snapshot(self, **sections: Any) -> Resolved:
        """A snapshot, under other sections of the configuration if given."""
        context = self.context
        if sections:
            corpus = Corpus.model_validate({**context.corpus.model_dump(mode="json"), **sections})
            context = Context(corpus, context.store, context.catalog, context.log)
        return Resolved(context, snapshot(context))


def rows_of(context: Context, key: str) -> list[Row]:
    """The rows of a stored Parquet file."""
    return list(pq.read_table(pa.BufferReader(context.store.read(key))).to_pylist())


class Resolved:
    """A snapshot read back."""

    def __init__(self, context: Context, result: StepResult) -> None:
        self.result = result
        assert result.partition is not None
        self.manifest = resolve(context, result.partition)
        self._context = context

    def rows(self, *roles: str) -> list[Row]:
        found = []
        for entry in self.manifest.of_role(*(roles or ("train", "validation", "test"))):
            found += rows_of(self._context, entry.key)
        return found

    def texts(self, *roles: str) -> dict[str, str]:
        return {row["url"]: row["text"] for row in self.rows(*roles)}

    @property
    def removed(self) -> dict[tuple[str, str], tuple[str, str | None]]:
        return {(r["url"], r["partition"]): (r["reason"], r["duplicate_of"]) for r in self.rows("removed")}
