"""``nightshift train`` of a recipe whose workers train in step: what it refuses, what it starts, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tasks.catalog import Manifest
from tasks.cli import main
from tasks.combine import combine
from tasks.config import Corpus
from tasks.config.resources import Resources
from tasks.errors import BadInput, PeerLost, Preempted
from tasks.gang.peers import on_loopback, parse, tf_config
from tasks.prepare import prepare
from tasks.step import Context, Shard, Step
from tasks.training import Training
from tasks.training.mirrored.job import Job
from tasks.training.work import claim
from tasks.work import read
from tests.gang.gang import ROOT

SHARDED, MIRRORED = {"tfidf_forest": {"trees": 2}}, {"text_encoder": {"epochs": 1}}


@dataclass(frozen=True)
class Case:
    """A training that is ready for `train`, and the environment in which its command finds it."""

    context: Context
    training: Training
    environment: dict[str, str]

    def arguments(self, *options: str) -> list[str]:
        return ["train", "--corpus=docs", f"--snapshot={self.training.snapshot_id}", "--json", *options]

    def call(self, *options: str) -> Result:
        return CliRunner(env=self.environment).invoke(main, self.arguments(*options), prog_name="nightshift")

    def run(self, script: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
        """The same as a process of its own, with the scripted child."""
        folder = Path(self.environment["NIGHTSHIFT_CORPORA"])
        return subprocess.run(
            [sys.executable, "-m", "tests.gang.training", *self.arguments(*options)],
            env={
                **os.environ,
                **self.environment,
                "PYTHONPATH": str(ROOT),
                "NIGHTSHIFT_SCRIPT": json.dumps({"folder": str(folder), **script}),
            },
            capture_output=True,
            text=True,
            timeout=300,
        )

    def commit_parts(self) -> None:
        """As if it were trained."""
        for part in self.training.parts:
            Job.of(self.context, self.training).work(part).commit([], counts={"rows": 1})


def encoded(context: Context, training: Training, shard: Shard, rows: int, labels: dict[str, int]) -> None:
    """As ``encode`` leaves a shard, without TensorFlow: nobody reads the examples here."""
    features = read(context, training.features(), "combine")
    work = claim(context, training, Step("encode", 1), training.examples(shard), [features])
    path = Path(context.store.url.removeprefix("file://")).parent / "examples"
    path.write_bytes(bytes(rows))
    rows = sum(labels.values())
    counts = {"rows": rows, "validation": 0, "unlabelled": 0, "unseen": 4 if not rows else 0}
    files = [work.add("train", path, rows=rows)] if rows else []
    work.commit(files, counts=counts, details={"labels": labels})


@pytest.fixture
def case(
    tmp_path: Path,
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    make_snapshot: Callable[..., Manifest],
) -> Callable[..., Case]:
    """``case(recipe, examples=9, workers=2, counted={label: rows of a shard})``: ready to train with ``workers``."""

    def build(
        recipe: dict[str, Any] = MIRRORED, examples: int = 9, workers: int = 2, counted: dict[str, int] | None = None
    ) -> Case:
        sections = {"train": {"recipe": recipe, "shards": 2}, "resources": {"workers": workers}}
        context = make_context(make_corpus(**{**sections, "resources": {"workers": 2}}))
        texts = [{"text": f"common words {'ab'[i % 2]} w{i % 3}", "label": "ab"[i % 2]} for i in range(examples)]
        training = Training.of(context.corpus, make_snapshot(context, train=texts, validation=texts[:2]))
        for shard in training.shards:
            prepare(context, training, shard)
        combine(context, training)
        for shard in training.shards if training.mirrored else ():
            share = len(range(shard.index, examples, shard.count))
            encoded(context, training, shard, share, {"0": share - 1, "1": 1} if counted is None else counted)
        source = {"live": {"files": {"path": "/nowhere/*.jsonl"}}}
        (tmp_path / "docs.yaml").write_text(yaml.safe_dump({"corpus": "docs", "source": source, **sections}))
        environment = {"NIGHTSHIFT_CORPORA": str(tmp_path), "NIGHTSHIFT_STORE": context.store.url}
        return Case(context, training, environment)

    return build


PEERS = "--peers=one:7000,two:7000"


@pytest.mark.parametrize(
    ("recipe", "options", "words"),
    [
        (MIRRORED, ["--shard=0/2"], "--shard: recipe text_encoder is mirrored: its workers train in step"),
        (MIRRORED, ["--round=0"], "--round: recipe text_encoder is mirrored: its workers train in step"),
        (SHARDED, ["--round=1"], "--round 1: recipe tfidf_forest on 2 shard(s) has 1 round(s): give 0 to 0"),
        (SHARDED, ["--worker=0/2", PEERS], "--worker, --peers: recipe tfidf_forest is sharded"),
        (SHARDED, ["--generation=1"], "--generation: recipe tfidf_forest is sharded"),
        (MIRRORED, ["--worker=0/2"], "--worker 0/2: give --peers too, the address of each of the 2 workers"),
        (MIRRORED, [PEERS], "--peers: give --worker too"),
        (MIRRORED, ["--worker=0/3", PEERS], "--worker 0/3 is one of 3 workers, but --peers names 2"),
        (MIRRORED, ["--worker=0/2", "--peers=one,two:7000"], "--peers: 'one' is not host:port"),
        (MIRRORED, ["--worker=0/2", "--peers=one:7000,two:65535"], "--peers: 'two:65535' is not host:port with a port"),
        (MIRRORED, ["--worker=0/2", "--peers=one:7000,one:7001"], "workers 0 and 1 share port 7001 of one"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    case: Callable[..., Case], recipe: dict[str, Any], options: list[str], words: str
) -> None:
    result = case(recipe).call(*options)
    assert result.exit_code == BadInput.exit_code
    assert words in json.loads(result.stdout.splitlines()[-1])["error"]["message"]


@pytest.mark.parametrize("options", [[], ["--worker=1/10", "--peers=" + ",".join(f"host{i}:7000" for i in range(10))]])
def test_more_workers_than_examples_is_bad_input_before_anything_starts(
    case: Callable[..., Case], options: list[str]
) -> None:
    result = case(examples=9, workers=10).call(*options)
    assert result.exit_code == BadInput.exit_code
    assert "resources.workers is 10" in result.stdout
    assert "9 examples" in result.stdout


@pytest.mark.parametrize(
    ("recipe", "counted", "words"),
    [
        (MIRRORED, {}, "has no examples: 8 rows were left out for a label that the features do not know"),
        (MIRRORED, {"1": 4}, "have one label only: a classifier needs two"),
        ({"text_encoder": {"early_stopping": {"patience": 2}}}, {"0": 2, "1": 2}, "early_stopping watches"),
    ],
)
def test_what_no_worker_can_learn_from_is_bad_input_before_anything_starts(
    case: Callable[..., Case], recipe: dict[str, Any], counted: dict[str, int], words: str
) -> None:
    result = case(recipe, counted=counted).call()
    assert result.exit_code == BadInput.exit_code
    assert words in json.loads(result.stdout.splitlines()[-1])["error"]["message"]


def test_more_workers_than_rows_is_said_before_anything_is_encoded(case: Callable[..., Case]) -> None:
    given = case(examples=9)
    ten = given.context.corpus.model_copy(update={"resources": Resources(workers=10)})
    with pytest.raises(BadInput, match=r"resources.workers is 10, .* has 9 rows to learn from: lower it to at most 9"):
        combine(replace(given.context, corpus=ten), given.training)


@pytest.mark.parametrize("options", [[], ["--worker=1/2", PEERS]])
def test_a_training_that_is_committed_is_a_no_op_that_meets_nobody(
    case: Callable[..., Case], options: list[str]
) -> None:
    given = case()
    given.commit_parts()
    result = given.call(*options)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["noop"] is True


def test_without_worker_all_of_them_run_here_and_worker_0s_result_is_the_commands(case: Callable[..., Case]) -> None:
    ended = case(workers=3).run({})
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert (result["step"], result["manifest"], result["counts"]) == ("train", "file:///m", {"steps": 10})
    for worker in range(3):
        assert f"[worker {worker}] " in ended.stderr
        assert f"worker={worker}/3" in ended.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_of_one_machine_share_its_processors(
    case: Callable[..., Case], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NIGHTSHIFT_CPUS", raising=False)
    here = len(os.sched_getaffinity(0))
    ended = case(workers=workers).run({})
    assert ended.stderr.count(f"processors: {max(1, here // workers)}\n") == workers, ended.stderr


def test_the_processors_that_each_worker_is_given_stay_its_own(
    case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTSHIFT_CPUS", "7")
    assert case().run({}).stderr.count("processors: 7\n") == 2


def test_the_error_of_one_worker_is_the_commands(case: Callable[..., Case]) -> None:
    ended = case().run({"1.step8": "exit"})
    assert ended.returncode == PeerLost.exit_code, ended.stderr
    error = json.loads(ended.stdout.splitlines()[-1])["error"]
    assert error["type"] == "PeerLost"
    assert error["message"].startswith("worker 1 is lost: its training process ended with exit code 9")


def test_a_worker_alone_is_watched_all_the_same(case: Callable[..., Case]) -> None:
    given = case(workers=1)
    (peer,) = on_loopback(1)
    ended = given.run({}, "--worker=0/1", f"--peers={peer}")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1])["counts"] == {"steps": 10}


def test_told_to_leave_while_it_reads_its_configuration_a_worker_was_preempted(
    case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = case()

    def killed_here(self: Job) -> None:
        raise SystemExit(143)  # what the handler of tasks.command does on SIGTERM

    monkeypatch.setattr(Job, "done", killed_here)
    result = given.call("--worker=1/2", PEERS)
    assert result.exit_code == Preempted.exit_code
    assert "worker 1/2 was told to leave (SIGTERM) before it met the others" in result.stdout


def test_peers_are_hosts_with_two_ports_each() -> None:
    peers = parse("trainer-0.gang:7000, [::1]:7000,10.0.0.3:7002")
    assert [str(peer) for peer in peers] == ["trainer-0.gang:7000", "[::1]:7000", "10.0.0.3:7002"]
    assert json.loads(tf_config(peers, 1)) == {
        "cluster": {"worker": ["trainer-0.gang:7001", "[::1]:7001", "10.0.0.3:7003"]},
        "task": {"type": "worker", "index": 1},
    }
