"""A whole night in pods: the real scheduler, the real operators, a real cluster, from a day's rows to a champion."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from kubernetes import client

from containers.embedded.ports import pick_many
from containers.embedded.rest import Rest
from containers.embedded.settings import PORTS
from containers.embedded.stack import Stack
from tasks.store import Store, open_store
from tests.kubernetes.conftest import IMAGE, TRAINER_IMAGE, image, make_namespace, pods, reachable

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(1500)]

DAY = "2026-11-01"
SHARDS = 2
WORDS = {
    "fruit": ["apple", "pear", "plum", "cherry", "peach", "orchard", "harvest", "juice", "basket", "ripe", "branch"],
    "metal": ["iron", "copper", "zinc", "forge", "anvil", "smelt", "alloy", "ingot", "hammer", "rust", "furnace"],
}
STATES = ("success", "failed")
T = TypeVar("T")


def wait(condition: Callable[[], T], what: str, seconds: float = 900) -> T:
    """The first true value of ``condition``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(1)
    return value


@dataclass(frozen=True)
class Night:
    """A running Airflow, and where its pods are."""

    stack: Stack
    namespace: str

    @property
    def rest(self) -> Rest:
        return self.stack.rest

    @property
    def store(self) -> Store:
        return open_store(self.stack.environment["NIGHTSHIFT_STORE"], self.stack.environment)

    def states(self, dag: str, run: str) -> dict[str, list[str]]:
        """The states of a run's tasks, one for each mapped instance."""
        found: dict[str, list[str]] = {}
        for task in self.rest.tasks(dag, run):
            found.setdefault(task["task_id"], []).append(str(task["state"]))
        return found

    def failures(self, dag: str, run: str) -> str:
        """What the failed tasks of a run said last."""
        failed = [task for task in self.rest.tasks(dag, run) if task["state"] == "failed"]
        logs = (self.rest.log(dag, run, t["task_id"], t["try_number"], t["map_index"])[-3000:] for t in failed)
        return "\n".join(f"{task['task_id']}:\n{log}" for task, log in zip(failed, logs, strict=True))


@pytest.fixture(scope="module")
def night(cluster: client.CoreV1Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A running Airflow with one corpus whose steps are pods, and its raw rows on the store."""
    home, namespace = tmp_path_factory.mktemp("stack"), f"chain-{uuid.uuid4().hex[:8]}"
    (home / "corpora").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for (variable, _), port in zip(PORTS.values(), pick_many(len(PORTS)), strict=True):
            patch.setenv(variable, str(port))
        extra = {"NIGHTSHIFT_RETRY_DELAY": "1"}
        stack = Stack(home, corpora=home / "corpora", extra=extra, s3_host=reachable(cluster))
    write_corpus(home / "corpora" / "night.yaml", namespace)
    known = ("AWS_", "NIGHTSHIFT_STORE", "NIGHTSHIFT_BACKUP")
    make_namespace(cluster, namespace, {k: v for k, v in stack.environment.items() if k.startswith(known)})
    try:
        stack.start(site=False)  # nothing is crawled
        rows = [json.dumps(row) + "\n" for row in documents(48)]
        made = Night(stack, namespace)
        for shard in range(SHARDS):  # a file is cleaned whole, by one task
            made.store.write(f"exports/{DAY}/{shard}.jsonl", "".join(rows[shard::SHARDS]).encode())
        yield made
    finally:
        stack.stop()
        cluster.delete_namespace(namespace)


def write_corpus(path: Path, namespace: str) -> None:
    path.write_text(
        yaml.safe_dump(
            {
                "corpus": path.stem,
                "runtime": "kubernetes",
                "source": {
                    "history": {"files": {"path": "exports/{partition}/*.jsonl", "columns": {"label": "topic"}}}
                },
                "clean": {"shards": SHARDS},
                "train": {"recipe": {"tfidf_forest": {"trees": 8}}, "shards": SHARDS},
                "resources": {"cpu": "600m", "memory": "1Gi", "timeout": "10m", "retries": 1},
                "kubernetes": {
                    "namespace": namespace,
                    "image": image(IMAGE),
                    "trainer_image": image(TRAINER_IMAGE),
                    "grace": "5s",
                },
            }
        )
    )


def documents(count: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(DAY)
    for number in range(count):
        topic = ("fruit", "metal")[number % 2]
        yield {"id": f"{DAY}-{number}", "text": " ".join(draw.choices(WORDS[topic], k=60)), "topic": topic}


@pytest.fixture(scope="module")
def runs(night: Night) -> dict[str, str]:
    """The run of ``ingest_night``, started by hand, and the run of ``retrain_night`` that its data started."""
    rest, made = night.rest, {}
    for dag in ("ingest_night", "retrain_night"):
        rest.wait_for_dag(dag)
        rest.unpause(dag)
    made["ingest_night"] = rest.trigger("ingest_night", partition=DAY)

    def ended(dag: str, run: str) -> bool:
        state = str(rest.run(dag, run)["state"])
        assert state != "failed", night.failures(dag, run)
        return state == "success"

    wait(lambda: ended("ingest_night", made["ingest_night"]), "the day is published")
    first = wait(lambda: rest.runs("retrain_night"), "the data starts a retraining", 120)[0]
    made["retrain_night"] = str(first["dag_run_id"])
    wait(lambda: ended("retrain_night", made["retrain_night"]), "the retraining ends")
    return made


def test_a_night_in_pods_ends_with_a_champion(night: Night, runs: dict[str, str]) -> None:
    for dag, run in runs.items():
        assert {state for each in night.states(dag, run).values() for state in each} == {"success"}
    assert night.store.stat("models/night/registry/champion.json")


def test_every_shard_is_a_pod_of_its_own(night: Night, runs: dict[str, str]) -> None:
    trained = night.states("retrain_night", runs["retrain_night"])
    assert [len(trained[step]) for step in ("prepare", "train", "evaluate_parts")] == [SHARDS] * 3
    assert len(night.states("ingest_night", runs["ingest_night"])["clean"]) == SHARDS
    made = [night.rest.result("retrain_night", runs["retrain_night"], "train", index) for index in range(SHARDS)]
    assert len(set(made)) == SHARDS
    assert all(night.store.key_of(url).startswith("models/night/") for url in made)


def test_a_pods_own_lines_are_in_the_log_of_its_task(night: Night, runs: dict[str, str]) -> None:
    log = night.rest.log("retrain_night", runs["retrain_night"], "train", 1, 0)
    assert "corpus=night" in log


def test_no_pod_is_left(night: Night, runs: dict[str, str], cluster: client.CoreV1Api) -> None:
    wait(lambda: not pods(cluster, night.namespace), "no pod is left", 60)
