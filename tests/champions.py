"""Candidates and champions in a moment: a recipe of a few lines, over real stores, manifests and registry."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.catalog import FileEntry, Manifest
from tasks.config import Corpus
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.promote import promote
from tasks.section import Section
from tasks.snapshot import STEP as SNAPSHOT
from tasks.step import Context, Step, StepResult
from tasks.store import ObjectInfo, Store
from tasks.training import Training, store_model
from tasks.training.work import claim
from tasks.work import Read, Work

NOW = datetime(2026, 11, 21, 3, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
MERGE = Step("merge", 1)
EVALUATE = Step("evaluate", 1)
GATE = Step("gate_model", 1)

TRAIN = {"recipe": "keyword", "shards": 1}
"""The corpus' ``train`` section."""


class KeywordParams(Section):
    surety: float = 0.9


@RECIPES.register("keyword")
class Keyword:
    """Says the label whose word stands in the text; the model is ``{word: label}``."""

    Params: ClassVar[type[Section]] = KeywordParams
    spread = "sharded"
    version = 1
    libraries: ClassVar[tuple[str, ...]] = ()
    merges: ClassVar[tuple[str, ...]] = ("union", "vote")
    columns: tuple[str, ...] = ()

    def __init__(self, params: KeywordParams, seed: int) -> None:
        self._surety = params.surety

    def labels(self, model: dict[str, str]) -> list[str]:
        return sorted(set(model.values()))

    def predict(self, model: dict[str, str], texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        labels = self.labels(model)
        chances = np.full((len(texts), len(labels)), (1 - self._surety) / max(len(labels) - 1, 1))
        for row, text in enumerate(texts):
            found = [label for word, label in model.items() if word in text.split()]
            chances[row, labels.index(found[0] if found else labels[0])] = self._surety
        return chances

    def facts(self, model: dict[str, str]) -> dict[str, int]:
        return {"words": len(model)}

    def save(self, model: dict[str, str], folder: Path) -> None:
        (folder / "words.json").write_text(json.dumps(model, sort_keys=True))
        (folder / "notes").mkdir()
        (folder / "notes" / "size.txt").write_text(str(len(model)))

    def load(self, folder: Path) -> Any:
        return json.loads((folder / "words.json").read_text())


def documents(count: int = 12, seed: int = 0, labels: str = "ab") -> list[dict[str, Any]]:
    """Rows whose label stands in them as a word."""
    return [
        {
            "text": f"{labels[i % len(labels)]} of {seed} number {i}",
            "label": labels[i % len(labels)],
            "url": f"http://site/{seed}/{i}",
        }
        for i in range(count)
    ]


def publish(
    context: Context, partition: str, rows: list[dict[str, Any]], folder: str = "dataset", role: str = "train"
) -> Read:
    """A published partition, or another stage's, all its rows in one file."""
    where = f"{folder}/{context.corpus.corpus}/{partition}"
    return Read(where, _commit(context, where, partition, "upload", {role: rows}), "upload")


def candidate(
    context: Context, seed: int = 0, words: dict[str, str] | None = None, *, passed: bool = True, **splits: Any
) -> Training:
    """A merged, evaluated and judged candidate, trained on a snapshot of two published partitions."""
    corpus = context.corpus.corpus
    parts = [publish(context, f"2026-11-{19 + i}", documents(6, seed=100 * seed + i)) for i in range(2)]
    rows = {"train": documents(8, seed), "validation": documents(6, seed + 1), "test": documents(4, seed + 2), **splits}
    name = hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
    snapshot = _commit(context, f"snapshots/{corpus}/{name}", name, "snapshot", rows, parts)
    training = Training.of(context.corpus, snapshot)
    model(context, training, words or {"a": "a", "b": "b"})
    judge(context, training, passed=passed)
    return training


def model(context: Context, training: Training, words: dict[str, str]) -> None:
    """Merge a candidate."""
    work = claim(context, training, MERGE, training.model())
    files, details = store_model(context, training, training.model(), words)
    work.commit(files, counts={}, details=details)


def judge(context: Context, training: Training, *, passed: bool = True) -> None:
    """Evaluate a candidate beside the champion and put it before its gate."""
    from tasks.model_registry import champion
    from tasks.training import load_model
    from tasks.training.scoring import score

    merged = context.catalog.load(training.model(), made_by="merge")
    loaded = load_model(context, merged)
    metrics = {
        split: score(context, training, split, {"candidate": loaded})[0]["candidate"].metrics()
        for split in ("validation", "test")
    }
    rival = champion(context.catalog, context.corpus.corpus)
    beside = {"version": rival.version, "metrics": rival.metrics} if rival else None
    reads = [Read(training.model(), merged, "merge")]
    work = claim(context, training, EVALUATE, training.report(), reads)
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "metrics.json"
        page.write_text(json.dumps(metrics))
        files = [work.add("metrics", page)]
    work.commit(files, counts={}, details={"metrics": metrics, "champion": beside})
    reads.append(Read(training.report(), context.catalog.load(training.report(), made_by="evaluate"), "evaluate"))
    gate = Work(
        context,
        GATE,
        f"gates/{context.corpus.corpus}/model/{training.run}",
        name=training.run,
        config="",
        reads=reads,
    )
    failures = [] if passed else ["accuracy: observed 0.1, expected at least 0.5"]
    if failures:
        context.catalog.quarantine.put(merged, stage="model", failures=failures, at=NOW.isoformat())
    counts = {"expectations": 3, "failed": len(failures), "skipped": 0}
    gate.commit([], counts=counts, details={"passed": passed, "failures": failures})


def crowned(context: Context, seed: int = 0, words: dict[str, str] | None = None, **splits: Any) -> Training:
    """A training whose candidate was promoted."""
    training = candidate(context, seed, words, **splits)
    promoted(context, training)
    return training


def promoted(context: Context, training: Training, by: str = "test") -> StepResult:
    """Promote a candidate."""
    return promote(context, training, by=by, at=NOW)


def _commit(
    context: Context,
    folder: str,
    name: str,
    step: str,
    splits: dict[str, list[dict[str, Any]]],
    reads: Sequence[Read] = (),
) -> Manifest:
    declared = SNAPSHOT if step == "snapshot" else Step(step, 1)
    work = Work(context, declared, folder, name=name, config="", reads=reads)
    files: list[FileEntry] = []
    with tempfile.TemporaryDirectory() as scratch:
        for role, rows in splits.items():
            path = Path(scratch) / f"{role}.parquet"
            pq.write_table(_table(rows), path)
            files.append(work.add(role, path, rows=len(rows)))
    work.commit(files, counts={})
    manifest = context.catalog.current(folder)
    assert manifest is not None
    return manifest


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in ("uid", "url", "text", "label", "language")])
    cells = [{"uid": hashlib.sha256(row["url"].encode()).hexdigest()[:32], "language": "en", **row} for row in rows]
    return pa.Table.from_pylist(cells, schema=schema)


class Killed(BaseException):
    """What ``kill -9`` is to the code that it hits: nothing catches it."""


class Mortal(Store):
    """A real store whose writer dies right after its ``last`` write. ``writes`` names what was written."""

    def __init__(self, store: Store, last: int) -> None:
        self._store = store
        self._last = last
        self.url = store.url
        self.writes: list[str] = []

    def write(self, key: str, data: bytes) -> ObjectInfo:
        return self._done(key, self._store.write(key, data))

    def create(self, key: str, data: bytes) -> bool:
        return self._done(key, self._store.create(key, data))

    def upload(self, path: Path, key: str) -> ObjectInfo:
        return self._done(key, self._store.upload(path, key))

    def copy(self, key: str, target: str) -> ObjectInfo:
        return self._done(target, self._store.copy(key, target))

    def delete(self, key: str) -> None:
        self._done(key, self._store.delete(key))

    def stat(self, key: str) -> ObjectInfo | None:
        return self._store.stat(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._store.list(prefix)

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        return self._store.open(key)

    def _done(self, key: str, result: Any) -> Any:
        self.writes.append(key)
        if len(self.writes) == self._last:
            raise Killed(key)
        return result


class Beside(Mortal):
    """A real store beside which something happens, once, right before a key with ``about`` is written or removed."""

    def __init__(self, store: Store, about: str, meanwhile: Callable[[], object]) -> None:
        super().__init__(store, last=0)
        self._about = about
        self._meanwhile: Callable[[], object] | None = meanwhile

    def write(self, key: str, data: bytes) -> ObjectInfo:
        self._happen(key)
        return super().write(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self._happen(key)
        return super().create(key, data)

    def delete(self, key: str) -> None:
        self._happen(key)
        super().delete(key)

    def _happen(self, key: str) -> None:
        if self._about in key and self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()


class Lying(Mortal):
    """A real store whose disk damages what is uploaded under a key that contains ``about``."""

    def __init__(self, store: Store, about: str) -> None:
        super().__init__(store, last=0)
        self._about = about

    def upload(self, path: Path, key: str) -> ObjectInfo:
        info = super().upload(path, key)
        return self._store.write(key, b"x" * info.size) if self._about in key else info


def keyword_corpus(make_corpus: Callable[..., Corpus], **sections: Any) -> Corpus:
    """A corpus whose recipe is ``keyword``."""
    return make_corpus(train=TRAIN, **sections)
