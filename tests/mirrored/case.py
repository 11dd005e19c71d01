"""A tiny training on a local store, encoded and ready for its gang."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tasks.catalog import Manifest
from tasks.combine import combine
from tasks.config import Corpus
from tasks.model_registry import Registry
from tasks.model_registry.records import Version
from tasks.prepare import prepare
from tasks.step import Context
from tasks.training import Training, load_model
from tests.mirrored import recipe  # noqa: F401  # registers itself
from tests.mirrored.nursery import Nursery
from tests.mirrored.play import DEADLINE, Gang, clean_environment


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Labels that a word gives away, most of the time."""
    return [
        {
            "text": " ".join([f"{'abc'[i % 3]}{(i * 7 + seed) % 5}" if i % 7 else "noise", f"w{i % 11}", f"v{i % 13}"]),
            "label": "abc"[i % 3],
            "url": f"http://site/{seed}/{i}",
        }
        for i in range(count)
    ]


@dataclass(frozen=True)
class Case:
    """One training and where it lies."""

    context: Context
    training: Training
    yaml: Path
    folder: Path
    nursery: Nursery

    def gang(self, workers: int, faults: Path | None = None, faulty: Sequence[int] | None = None) -> Gang:
        return Gang(self.nursery, self.folder, self.yaml, self.context.store.url, workers, faults, faulty)

    def run(self, step: str, *options: str) -> dict[str, Any]:
        """A step as a command; its result."""
        log, result = self.folder / f"{step}.log", self.folder / f"{step}.json"
        command = [step, "--corpus", str(self.yaml), "--snapshot", "a" * 16, "--json", *options]
        env = {**clean_environment(), "NIGHTSHIFT_STORE": self.context.store.url}
        with log.open("wb") as errors, result.open("wb") as output, Path("/dev/null").open("rb") as nothing:
            process = self.nursery.start(command, env, nothing.fileno(), output.fileno(), errors.fileno())
        assert process.wait(DEADLINE) == 0, log.read_text()
        said: dict[str, Any] = json.loads(result.read_text().splitlines()[-1])
        return said

    def afresh(self) -> Case:
        """The same training, as if it had never begun."""
        for info in list(self.context.store.list("models/")):
            self.context.store.delete(info.key)
        return self

    def weights(self, part: int = 0) -> list[np.ndarray]:
        return list(load_model(self.context, self.parts[part])[1].arrays)

    def crown(self) -> Version:
        """Make the first part's model the champion."""
        registry = Registry(self.context.catalog, self.training.corpus.corpus)
        unread = dict.fromkeys(("report", "report_digest", "snapshot", "snapshot_digest", "created"), "")
        made = Version(
            version=0,
            corpus=registry.corpus,
            run=self.training.run,
            folder=self.training.model(self.training.parts[0]),
            digest=self.part.digest(),
            recipe="tiny",
            metrics={},
            code={},
            **unread,
        )
        version = registry.add(made)
        registry.change("promote", version, by="test", at=datetime(2026, 11, 21, tzinfo=UTC))
        return version

    @property
    def part(self) -> Manifest:
        return self.parts[0]

    @property
    def parts(self) -> list[Manifest]:
        return [self.context.catalog.load(self.training.model(p), made_by="train") for p in self.training.parts]

    @property
    def checkpoints(self) -> list[str]:
        return [info.key for info in self.context.store.list(f"{self.training.checkpoints}/")]


Build = Callable[..., Case]


def build_case(
    folder: Path,
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    make_snapshot: Callable[..., Manifest],
    workers: Nursery,
    rows: Callable[[int, int], list[dict[str, Any]]] = rows,
) -> Build:
    """``case(examples=60, resources={…}, train={…}, **params)``: a training whose examples are encoded.

    ``rows`` makes so many examples from a seed.
    """

    def build(
        examples: int = 60,
        shards: int = 2,
        resources: dict[str, Any] | None = None,
        train: dict[str, Any] | None = None,
        **params: Any,
    ) -> Case:
        sections: dict[str, Any] = {
            "train": {"recipe": {"tiny": params}, "shards": shards, **(train or {})},
            "resources": {"checkpoints": {"every": "50ms"}, **(resources or {})},
        }
        context = make_context(make_corpus(**sections))
        snapshot = make_snapshot(context, train=rows(examples, 0), validation=rows(20, 1), test=rows(9, 2), files=2)
        training = Training.of(context.corpus, snapshot)
        for shard in training.shards:
            prepare(context, training, shard)
        combine(context, training)
        path = folder / "docs.yaml"
        source = {"live": {"files": {"path": "/nowhere/*.jsonl"}}}
        path.write_text(yaml.safe_dump({"corpus": "docs", "source": source, **sections}))
        given = Case(context, training, path, folder, workers)
        for shard in training.shards:
            given.run("encode", "--shard", str(shard))
        return given

    return build
