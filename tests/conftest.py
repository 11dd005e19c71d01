"""What tests of every room share: a valid corpus to vary, and contexts over real stores."""

from __future__ import annotations

import copy
import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog
from hypothesis import HealthCheck, settings

from containers.embedded.ports import pick
from containers.embedded.seaweedfs import s3_environment, seaweedfs
from tasks.catalog import Catalog, Input, Manifest
from tasks.config import Corpus
from tasks.step import Context
from tasks.store import Store, open_store
from tests.gang.gang import Gang, MakeGang

CORPUS: dict[str, Any] = {
    "corpus": "docs",
    "source": {"live": {"files": {"path": "/nowhere/*.jsonl"}}},
    "train": {"recipe": "tfidf_forest"},
}


# No test is timed: the first example may compile a kernel, and the machine may have other things to do.
settings.register_profile("nightshift", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nightshift")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process configures logging for good: not for the tests after it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def make_corpus() -> Callable[..., Corpus]:
    """``make_corpus(clean={...}, gates={...})``: the smallest valid corpus with sections replaced."""

    def build(**sections: Any) -> Corpus:
        return Corpus.model_validate({**copy.deepcopy(CORPUS), **sections})

    return build


@pytest.fixture
def local_store(tmp_path: Path) -> Store:
    return open_store(f"file://{tmp_path}/store", {})


@pytest.fixture
def make_context(local_store: Store, make_corpus: Callable[..., Corpus]) -> Callable[..., Context]:
    """``make_context(corpus=…, store=…)``: a step's context over a local store unless given another."""

    def build(corpus: Corpus | None = None, store: Store | None = None, env: dict[str, str] | None = None) -> Context:
        chosen = store or local_store
        return Context(
            corpus=corpus or make_corpus(),
            store=chosen,
            catalog=Catalog(chosen),
            log=structlog.get_logger(),
            env=env or {},
        )

    return build


@pytest.fixture
def make_snapshot(tmp_path: Path) -> Callable[..., Manifest]:
    """``make_snapshot(context, train=[{"text": …, "label": …}], validation=[…])``: a committed snapshot.

    Each row may give any of the snapshot's columns; ``files`` spreads every split over so many files.
    """

    def build(context: Context, id: str = "a" * 16, files: int = 1, **splits: list[dict[str, Any]]) -> Manifest:
        folder, entries = f"snapshots/{context.corpus.corpus}/{id}", []
        for split, rows in splits.items():
            for number in range(files if rows else 0):
                path = tmp_path / f"{uuid.uuid4().hex}.parquet"
                # Files are runs of rows, as a writer that starts a new file when one is full makes them.
                start, end = len(rows) * number // files, len(rows) * (number + 1) // files
                pq.write_table(_documents(split, rows[start:end], start), path)
                sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
                entries.append(context.catalog.add_file(folder, split, path, sha256, rows=end - start))
        manifest = Manifest(
            step="snapshot",
            corpus=context.corpus.corpus,
            partition=id,
            fingerprint=id,
            code={},
            config="",
            inputs=(Input(name=f"dataset/{context.corpus.corpus}/2026-11-20", digest="0" * 64),),
            files=tuple(entries),
            details={"partitions": ["2026-11-20"]},
        )
        context.catalog.commit(folder, manifest)
        return manifest

    return build


def _documents(split: str, rows: list[dict[str, Any]], start: int) -> pa.Table:
    urls = [row.get("url", f"http://site/{split}/{start + i}") for i, row in enumerate(rows)]
    columns = {
        "uid": pa.array([hashlib.sha256(url.encode()).hexdigest()[:32] for url in urls], pa.string()),
        "url": pa.array(urls, pa.string()),
        "text": pa.array([row["text"] for row in rows], pa.string()),
        "label": pa.array([row.get("label") for row in rows], pa.string()),
        "language": pa.array([row.get("language", "en") for row in rows], pa.string()),
        "length": pa.array([len(row["text"]) for row in rows], pa.int64()),
        "group": pa.array([row.get("group", "site") for row in rows], pa.string()),
        "partition": pa.array(["2026-11-20"] * len(rows), pa.string()),
    }
    return pa.table(columns)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A real S3 server for the whole session; the value is the environment that reaches it."""
    folder = tmp_path_factory.mktemp("seaweedfs")
    port, secret = pick(), uuid.uuid4().hex
    with seaweedfs(folder / "data", port=port, access_key="test", secret_key=secret, log=folder / "log"):
        yield s3_environment(port, "test", secret)


@pytest.fixture
def s3_env(s3_server: dict[str, str]) -> dict[str, str]:
    """The environment of a process that reaches the S3 server, and nothing else of Nightshift's settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "NIGHTSHIFT_", "MLFLOW_", "AIRFLOW_"))}
    return {**kept, **s3_server}


@pytest.fixture
def s3_store(s3_env: dict[str, str]) -> Store:
    """An empty bucket of its own on the S3 server."""
    return open_store(f"s3://test-{uuid.uuid4().hex[:12]}", s3_env)


@pytest.fixture
def make_gang(tmp_path: Path) -> Iterator[MakeGang]:
    """``make_gang(script, workers=2, **timing)``: a gang whose supervisors are yet to start; see ``tests.gang``."""
    gangs: list[Gang] = []

    def make(script: dict[str, Any] | None = None, workers: int = 2, **timing: float) -> Gang:
        gangs.append(Gang(tmp_path / f"gang-{len(gangs)}", script or {}, timing, workers))
        return gangs[-1]

    yield make
    for gang in gangs:
        gang.close()
