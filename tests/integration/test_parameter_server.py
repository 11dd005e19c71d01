"""A training with a parameter server, by the command as Airflow runs it: what it makes, and who may die."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tasks.catalog import Manifest
from tasks.combine import combine
from tasks.config import Corpus
from tasks.encode import encode
from tasks.model_registry import Registry, Version
from tasks.prepare import prepare
from tasks.step import Context
from tasks.training import Training, load_model
from tasks.training.curves import read_curves
from tests.gang.gang import ROOT
from tests.unit.test_evaluate_merge import rows

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

DEADLINE = 300.0
SECTIONS: dict[str, Any] = {
    "train": {
        "strategy": "parameter_server",
        "recipe": {"text_encoder": {"epochs": 200, "batch_size": 8, "learning_rate": 0.01, "dimension": 8}},
        "shards": 1,
    },
    "resources": {"workers": 2, "parameter_servers": 1, "checkpoints": {"every": "500ms"}},
}


class Run:
    """``nightshift train`` as a process, its log in a file; ``narrow``: all of it has one processor."""

    def __init__(self, folder: Path, store: str, epochs: int, *, narrow: bool = False, **train: Any) -> None:
        self.folder = folder
        source = {"live": {"files": {"path": "/nowhere/*.jsonl"}}}
        (folder / "docs.yaml").write_text(
            yaml.safe_dump({"corpus": "docs", "source": source, **sections(epochs, **train)})
        )
        (folder / "scratch").mkdir(exist_ok=True)
        self._log = folder / "log"
        command = ["train", f"--corpus={folder / 'docs.yaml'}", f"--snapshot={'a' * 16}", "--json"]
        environment = {
            **os.environ,
            "NIGHTSHIFT_STORE": store,
            "NIGHTSHIFT_CPUS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder / "scratch"),
        }
        core = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))] if narrow else []
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*core, sys.executable, "-c", "from tasks.cli import main; main()", *command],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait for a line of the log."""
        deadline = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self.log)):
            assert self.process.poll() is None, self.log[-8000:]
            assert time.monotonic() < deadline, f"nothing like {pattern!r} in\n{self.log[-8000:]}"
            time.sleep(0.05)
        return found

    def kill(self, member: int) -> None:
        """Kill -9 the training process of a member."""
        pid = int(self.until(rf"\[worker {member}\].*started the training process.*pid=(\d+)")[1])
        os.kill(pid, signal.SIGKILL)

    def end(self) -> dict[str, Any]:
        """Wait for the end; what the command says."""
        out, _ = self.process.communicate(timeout=DEADLINE)
        said: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
        return said


def sections(epochs: int, **train: Any) -> dict[str, Any]:
    recipe = {"text_encoder": {**SECTIONS["train"]["recipe"]["text_encoder"], "epochs": epochs}}
    return {**SECTIONS, "train": {**SECTIONS["train"], "recipe": recipe, **train}}


Begin = Callable[..., tuple[Context, Training, Run]]


@pytest.fixture
def begin(
    tmp_path: Path,
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    make_snapshot: Callable[..., Manifest],
) -> Iterator[Begin]:
    """``begin(epochs, **train)``: everything before the training, and the training itself, which has begun."""
    runs: list[Run] = []

    def start(epochs: int, *, narrow: bool = False, **train: Any) -> tuple[Context, Training, Run]:
        context = make_context(make_corpus(**sections(epochs, **train)))
        snapshot = make_snapshot(context, train=rows(80), validation=rows(20, seed=1))
        training = Training.of(context.corpus, snapshot)
        for shard in training.shards:
            prepare(context, training, shard)
        combine(context, training)
        for shard in training.shards:
            encode(context, training, shard)
        runs.append(Run(tmp_path, context.store.url, epochs, narrow=narrow, **train))
        return context, training, runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.process.wait()


def test_a_killed_worker_is_replaced_and_the_training_goes_on(begin: Begin) -> None:
    context, training, run = begin(epochs=200)
    run.until(r"\[worker 0\].*event=progress")
    run.kill(3)
    run.until(r"\[worker 3\].*another training process takes its place.*SIGKILL")
    said = run.end()
    assert run.process.returncode == 0, run.log[-8000:]
    assert said["counts"]["steps"] == 200 * 10
    assert said["counts"]["workers"] == 2
    curves = read_curves(context, training)
    assert len(curves) == 200
    assert curves[-1]["validation"]["accuracy"] > 0.9, "labels show in the words"
    assert sum(epoch["staleness"] for epoch in curves) > 0, "two workers change what the other one has read"
    assert not list(context.store.list(f"{training.checkpoints}/"))
    assert list((run.folder / "scratch").iterdir()) == []


def test_a_killed_server_ends_all_and_the_next_start_goes_on_from_the_checkpoint(begin: Begin, tmp_path: Path) -> None:
    context, _, run = begin(epochs=100)
    run.until(r"\[worker 0\].*event=saved")
    run.kill(1)
    said = run.end()
    assert run.process.returncode == 75, run.log[-8000:]
    assert said["error"]["type"] == "PeerLost"
    assert "worker 1" in said["error"]["message"]
    again = Run(tmp_path, context.store.url, 100)
    said = again.end()
    assert again.process.returncode == 0, again.log[-8000:]
    assert 0 < said["counts"]["resumed_from"] < said["counts"]["steps"] == 100 * 10


def test_members_with_one_processor_each_find_a_thread_for_whom_they_wait_for(begin: Begin) -> None:
    _, _, run = begin(epochs=3, narrow=True)
    said = run.end()
    assert run.process.returncode == 0, run.log[-8000:]
    assert said["counts"]["steps"] == 3 * 10


def test_a_gang_that_is_told_to_leave_makes_a_checkpoint(begin: Begin) -> None:
    context, training, run = begin(epochs=2000)
    run.until(r"\[worker 0\].*event=progress")
    run.process.send_signal(signal.SIGTERM)
    run.end()
    assert run.process.returncode == 77, run.log[-8000:]
    assert list(context.store.list(f"{training.checkpoints}/"))


def test_a_frozen_layer_stays_on_the_servers_as_the_champion_has_it(begin: Begin) -> None:
    context, training, run = begin(epochs=3)
    run.end()
    assert run.process.returncode == 0, run.log[-8000:]
    part = context.catalog.load(training.model(training.parts[0]), made_by="train")
    registry = Registry(context.catalog, "docs")
    unread = dict.fromkeys(("report", "report_digest", "snapshot", "snapshot_digest", "created"), "")
    folder = training.model(training.parts[0])
    made = Version(
        **{"version": 0, "corpus": "docs", "run": training.run, "folder": folder, "digest": part.digest()},
        **{"recipe": "text_encoder", "metrics": {}, "code": {}},
        **unread,
    )
    registry.change("promote", registry.add(made), by="test", at=datetime(2026, 11, 21, tzinfo=UTC))

    _, frozen, again = begin(epochs=4, warm_start=True, freeze=["embedding"])
    again.end()
    assert again.process.returncode == 0, again.log[-8000:]
    after = context.catalog.load(frozen.model(frozen.parts[0]), made_by="train")
    assert after.details["warm_start"] == {"version": 1, "run": training.run, "frozen": ["embedding"]}
    pairs = zip(*(load_model(context, manifest)[1].weights for manifest in (part, after)), strict=True)  # type: ignore[attr-defined]
    assert [np.array_equal(one, other) for one, other in pairs] == [True, *[False] * 4]
