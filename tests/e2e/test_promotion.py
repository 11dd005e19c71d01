"""A person's word under the real scheduler: approve, reject, and go back, as the web UI does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from containers.embedded.stack import Stack
from tasks.errors import NightshiftError
from tasks.model_registry import Registry
from tests.hook import Hook
from tests.runs import catalog, ended, log, states, wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

CORPUS = "asked"
DAYS = ("2026-11-01", "2026-11-02")


@pytest.fixture(scope="module")
def asked(
    airflow_stack: Stack,
    archive_corpus: Callable[..., Path],
    write_day: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
    hook: Hook,
) -> Stack:
    """The stack with a corpus that wants a person's word, and its first day published."""
    archive = tmp_path_factory.mktemp("asked")
    for day in DAYS:
        write_day(archive, day)
    archive_corpus(
        Path(airflow_stack.environment["NIGHTSHIFT_CORPORA"]),
        CORPUS,
        archive,
        schedule={"retrain": "manual"},
        train={"recipe": {"tfidf_forest": {"trees": 8}}, "shards": 1},
        promote={"approval": True},
        notifications=[{"webhook": hook.url, "on": ["promotion", "failure"]}],
    )
    for kind in ("ingest", "retrain", "rollback", "predict"):
        airflow_stack.rest.wait_for_dag(f"{kind}_{CORPUS}")
        airflow_stack.rest.unpause(f"{kind}_{CORPUS}")
    ingest(airflow_stack, DAYS[0])
    return airflow_stack


def ingest(stack: Stack, day: str) -> None:
    dag = f"ingest_{CORPUS}"
    assert ended(stack, dag, stack.rest.trigger(dag, partition=day)) == "success"


def retrain(stack: Stack, answer: str) -> str:
    """A retraining whose question is answered as the button in *Required actions* does it; the run's id."""
    dag = f"retrain_{CORPUS}"
    run = stack.rest.trigger(dag)
    question = f"dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances/approve/-1/hitlDetails"

    def asks() -> bool:
        assert stack.rest.run(dag, run)["state"] != "failed", states(stack, dag, run)
        # Airflow takes a task for failed that goes on before the scheduler has heard that the process which asked has
        # ended; no person is as fast as that.
        heard = f"Received executor event with state success for task instance TaskInstanceKey(dag_id='{dag}', "
        heard += f"task_id='approve', run_id='{run}'"
        asked = "awaiting_input" in states(stack, dag, run).get("approve", ())
        return asked and heard in (stack.logs / "airflow-scheduler.log").read_text()

    wait(asks, "the run asks for a person", 900)
    said = stack.rest.call("GET", question)
    assert said["subject"] == f"Promote the new model of {CORPUS}?"
    assert said["body"].count("_manifest.json") == 2, "where the report and the gate are"
    assert "{{" not in said["body"]
    stack.rest.call("PATCH", question, {"chosen_options": [answer]})
    assert ended(stack, dag, run) == "success", states(stack, dag, run)
    return run


@pytest.fixture(scope="module")
def rejected(asked: Stack) -> tuple[Stack, str]:
    """After a retraining that a person rejected: its run."""
    return asked, retrain(asked, "Reject")


@pytest.fixture(scope="module")
def approved(rejected: tuple[Stack, str]) -> Stack:
    """After the same training was asked about again and approved, and the one of the next day too."""
    stack, _ = rejected
    again = retrain(stack, "Approve")
    assert "unchanged, nothing to do" in log(stack, f"retrain_{CORPUS}", again, "merge")
    ingest(stack, DAYS[1])
    retrain(stack, "Approve")
    return stack


def test_a_rejected_model_is_not_promoted_and_the_run_ends_well(rejected: tuple[Stack, str]) -> None:
    stack, run = rejected
    now = states(stack, f"retrain_{CORPUS}", run)
    assert now["approve"] == {"success"}
    assert now["promote"] == now["backup"] == {"skipped"}


def test_an_approved_model_is_promoted_by_the_person_who_said_so(approved: Stack) -> None:
    registry = Registry(catalog(approved), CORPUS)
    first, second = registry.audits()[:2]
    assert [(each.action, each.version, each.previous) for each in (first, second)] == [
        ("promote", 1, None),
        ("promote", 2, 1),
    ], "the rejected one left no record"
    (who,) = {first.by, second.by}
    assert who
    assert not who.startswith("airflow:"), "a person, not the run"
    assert second.metrics_before == first.metrics_after


def test_a_rollback_from_the_trigger_form_brings_the_champion_before_back(approved: Stack, hook: Hook) -> None:
    rest, dag = approved.rest, f"rollback_{CORPUS}"
    registry = Registry(catalog(approved), CORPUS)
    for conf in ({}, {"to": 0, "reason": "no such version"}, {"to": "one", "reason": "no number"}, {"reason": ""}):
        with pytest.raises(NightshiftError, match="400"):
            rest.trigger(dag, conf=conf)
    assert [each.action for each in registry.audits()] == ["promote", "promote"]

    assert ended(approved, dag, rest.trigger(dag, conf={"reason": "calls pears plums"})) == "success"
    champion, first, record = registry.champion(), registry.version(1), registry.audits()[-1]
    assert champion == first
    assert (record.action, record.version, record.previous) == ("rollback", 1, 2)
    assert record.reason == "calls pears plums"
    assert record.by not in ("", "command line", "airflow"), "who pressed the button"
    assert record.metrics_after == first.metrics
    assert record.metrics_before == registry.version(2).metrics

    run = rest.trigger(f"predict_{CORPUS}", conf={"partition": DAYS[0]})
    assert ended(approved, f"predict_{CORPUS}", run) == "success"
    scores = catalog(approved).current(f"predictions/{CORPUS}/{DAYS[0]}")
    assert scores is not None
    assert scores.details["champion"]["version"] == 1

    assert ended(approved, dag, rest.trigger(dag, conf={"to": 2, "reason": "it was right"})) == "success"
    assert registry.audits()[-1].version == 2
    told = [(each["event"], each["dag"], each["task"]) for each in hook.got]
    retrained, rolled = ("promotion", f"retrain_{CORPUS}", "promote"), ("promotion", dag, "rollback")
    assert told == [retrained, retrained, rolled, rolled], "whoever asked for it is told of each change of the champion"


def test_a_version_that_is_not_there_fails_at_once_and_says_what_there_is(approved: Stack, hook: Hook) -> None:
    rest, dag = approved.rest, f"rollback_{CORPUS}"
    run = rest.trigger(dag, conf={"to": 9, "reason": "a slip"})
    assert ended(approved, dag, run) == "failed"
    (task,) = rest.tasks(dag, run)
    assert task["try_number"] == 1, "never retried"
    assert "no version 9; known: 1, 2" in log(approved, dag, run, "rollback")
    assert (hook.got[-1]["event"], hook.got[-1]["dag"]) == ("failure", dag)
