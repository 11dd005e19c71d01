"""A tiny network trained by real TensorFlow processes, the test playing their supervisors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.catalog import Manifest
from tasks.combine import combine
from tasks.config import Corpus
from tasks.encode import encode
from tasks.prepare import prepare
from tasks.step import Context
from tasks.training import Training
from tests.mirrored import recipe  # noqa: F401  # registers itself
from tests.mirrored.play import Gang

pytestmark = pytest.mark.integration


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

    def gang(self, workers: int, faults: Path | None = None) -> Gang:
        return Gang(self.folder, self.yaml, self.context.store.url, workers, faults)

    def again(self) -> Case:
        """The same training as if it had never run: another store with the same inputs."""
        raise NotImplementedError

    @property
    def part(self) -> Manifest:
        return self.parts[0]

    @property
    def parts(self) -> list[Manifest]:
        return [self.context.catalog.load(self.training.model(p), made_by="train") for p in self.training.parts]

    @property
    def checkpoints(self) -> list[str]:
        return [info.key for info in self.context.store.list(f"{self.training.checkpoints}/")]


@pytest.fixture
def case(
    tmp_path: Path,
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    make_snapshot: Callable[..., Manifest],
) -> Callable[..., Case]:
    """``case(examples=60, resources={…}, **params)``: a training whose examples are encoded."""

    def build(examples: int = 60, shards: int = 2, resources: dict[str, Any] | None = None, **params: Any) -> Case:
        sections: dict[str, Any] = {
            "train": {"recipe": {"tiny": params}, "shards": shards},
            "resources": {"checkpoints": {"every": "100ms"}, **(resources or {})},
        }
        context = make_context(make_corpus(**sections))
        snapshot = make_snapshot(context, train=rows(examples), validation=rows(20, seed=1), files=2)
        training = Training.of(context.corpus, snapshot)
        for shard in training.shards:
            prepare(context, training, shard)
        combine(context, training)
        for shard in training.shards:
            encode(context, training, shard)
        path = tmp_path / "docs.yaml"
        source = {"live": {"files": {"path": "/nowhere/*.jsonl"}}}
        path.write_text(yaml.safe_dump({"corpus": "docs", "source": source, **sections}))
        return Case(context, training, path, tmp_path)

    return build


def test_one_worker_trains_to_the_end_and_commits_its_part(case: Callable[..., Case]) -> None:
    given = case()
    with given.gang(1) as gang:
        assert gang.start() == 0
        result = gang.finish()
    assert result["counts"]["steps"] == 30
    assert result["counts"]["rows"] == 60
    print(given.part.volatile, given.part.details["epoch"])
    assert given.checkpoints == []
