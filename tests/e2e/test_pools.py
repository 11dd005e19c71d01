"""Gangs and pools under the real scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from containers.embedded.stack import Stack
from tests.hook import Hook
from tests.runs import ended, wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

DAY = "2026-11-01"
RECIPE = {"text_encoder": {"epochs": 1, "batch_size": 8, "dimension": 8, "filters": 8, "buckets": 10}}


@pytest.fixture
def gang_corpus(
    airflow_stack: Stack, archive_corpus: Callable[..., Path], tmp_path: Path, write_day: Callable[..., None]
) -> Callable[..., str]:
    """``gang_corpus(name, workers=2)``: a corpus whose recipe is mirrored; its retraining's DAG."""

    def make(name: str, webhook: str | None = None, **resources: Any) -> str:
        write_day(tmp_path / name, DAY)
        corpora = Path(airflow_stack.environment["NIGHTSHIFT_CORPORA"])
        archive_corpus(
            corpora,
            name,
            tmp_path / name,
            schedule={"retrain": "manual"},
            train={"recipe": RECIPE, "shards": 1},
            resources={"retries": 0, "timeout": "10m", **resources},
            notifications=[{"webhook": webhook}] if webhook else [],
        )
        for dag in (f"ingest_{name}", f"retrain_{name}"):
            airflow_stack.rest.wait_for_dag(dag)
            airflow_stack.rest.unpause(dag)
        return f"retrain_{name}"

    return make


def test_a_gang_larger_than_its_pool_fails_at_once_and_its_run_says_why(
    airflow_stack: Stack, gang_corpus: Callable[..., str], hook: Hook
) -> None:
    dag = gang_corpus("toolarge", webhook=hook.url, workers=500)
    run = airflow_stack.rest.trigger(dag)
    assert ended(airflow_stack, dag, run) == "failed"
    assert "train: a gang of 500 workers takes as many slots" in airflow_stack.rest.run(dag, run)["note"]
    states = {str(task["state"]) for task in airflow_stack.rest.tasks(dag, run)}
    assert not states & {"running", "queued", "success"}, "nothing was run for it"
    wait(lambda: hook.got, "whoever wants to know of failures is told of this one", 120)
    (told,) = hook.got
    assert (told["event"], told["dag"], told["task"], told["run"]) == ("failure", dag, "train", run)
    assert "a gang of 500 workers takes as many slots" in told["error"]


@pytest.fixture
def three_slots(airflow_stack: Stack) -> Iterator[None]:
    """The pool of gangs, made too small for two of two."""
    rest = airflow_stack.rest
    before = rest.call("GET", "pools/training")
    assert before["include_deferred"]
    whole = {name: before[name] for name in ("name", "slots", "description", "include_deferred")}
    rest.call("PATCH", "pools/training", {**whole, "slots": 3})
    yield
    rest.call("PATCH", "pools/training", whole)


@pytest.mark.usefixtures("three_slots")
def test_two_trainings_that_want_more_slots_than_there_are_both_end(
    airflow_stack: Stack, gang_corpus: Callable[..., str]
) -> None:
    rest, runs = airflow_stack.rest, dict[str, str]()
    for name in ("first", "second"):
        dag = gang_corpus(name)
        assert ended(airflow_stack, f"ingest_{name}", rest.trigger(f"ingest_{name}", partition=DAY)) == "success"
        runs[dag] = rest.trigger(dag)

    def gangs() -> list[dict[str, Any]]:
        return [task for dag, run in runs.items() for task in rest.tasks(dag, run) if task["task_id"] == "train"]

    def both_end() -> bool:
        states = [str(task["state"]) for task in gangs()]
        assert "failed" not in states, [rest.tasks(dag, run) for dag, run in runs.items()]
        return states == ["success", "success"]

    wait(both_end, "both gangs trained", 600)
    first, second = sorted(gangs(), key=lambda task: str(task["start_date"]))
    assert (first["pool"], first["pool_slots"]) == ("training", 2)
    assert str(first["end_date"]) <= str(second["start_date"]), "two gangs of two in three slots, one after the other"
