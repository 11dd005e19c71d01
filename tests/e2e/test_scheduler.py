"""The DAGs under the real scheduler, over a real S3 server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from containers.embedded.airflow import airflow_environment
from containers.embedded.stack import Stack
from tasks.errors import NightshiftError
from tests.hook import Hook
from tests.runs import attempts, catalog, ended, log, states, wait

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

DAYS = [f"2026-11-0{number}" for number in range(1, 6)]


@pytest.fixture(scope="session")
def corpora(airflow_stack: Stack) -> Path:
    return Path(airflow_stack.environment["NIGHTSHIFT_CORPORA"])


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory, write_day: Callable[..., None]) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for day in DAYS:
        write_day(folder, day)
    return folder


@pytest.fixture(scope="session")
def backfilled(
    airflow_stack: Stack, corpora: Path, archive: Path, archive_corpus: Callable[..., Path]
) -> dict[str, list[dict[str, Any]]]:
    """A corpus after a backfill of five days and all the retrainings that it asked for: their runs."""
    rest = airflow_stack.rest
    archive_corpus(corpora, "history", archive)
    for dag in ("ingest_history", "retrain_history"):
        rest.wait_for_dag(dag)
        rest.unpause(dag)
    rest.call(
        "POST",
        "backfills",
        {
            "dag_id": "ingest_history",
            "from_date": f"{DAYS[0]}T00:00:00Z",
            "to_date": f"{DAYS[-1]}T00:00:00Z",
            "max_active_runs": 2,
        },
    )

    def quiet() -> dict[str, list[dict[str, Any]]] | None:
        runs = {dag: rest.runs(dag) for dag in ("ingest_history", "retrain_history")}
        open_runs = [run for each in runs.values() for run in each if run["state"] in ("queued", "running")]
        return runs if not open_runs and runs["retrain_history"] else None

    return wait(quiet, "the backfill and its retraining end", 900)


def test_a_backfill_of_five_days_makes_each_day_once(
    airflow_stack: Stack, backfilled: dict[str, list[dict[str, Any]]]
) -> None:
    runs = backfilled["ingest_history"]
    assert Counter(run["partition_key"] for run in runs) == Counter(DAYS)
    assert {run["state"] for run in runs} == {"success"}
    published = [folder.rpartition("/")[2] for folder in catalog(airflow_stack).folders("dataset/history")]
    assert published == DAYS


def test_a_backfill_of_five_days_trains_once_on_all_of_them(
    airflow_stack: Stack, backfilled: dict[str, list[dict[str, Any]]]
) -> None:
    runs = backfilled["retrain_history"]
    assert {run["state"] for run in runs} == {"success"}
    trained = [run for run in runs if "success" in states(airflow_stack, "retrain_history", run["dag_run_id"])["train"]]
    assert len(trained) == 1
    (folder,) = [
        folder
        for folder in catalog(airflow_stack).folders("snapshots/history")
        if _url(airflow_stack, folder)
        == airflow_stack.rest.result("retrain_history", trained[0]["dag_run_id"], "snapshot")
    ]
    manifest = catalog(airflow_stack).current(folder)
    assert manifest is not None
    assert manifest.counts["partitions"] == len(DAYS)


def _url(stack: Stack, folder: str) -> str:
    return catalog(stack).url(folder)


def test_a_backfill_from_the_shell_finds_a_day_that_did_not_change_done(
    airflow_stack: Stack, backfilled: dict[str, list[dict[str, Any]]]
) -> None:
    day, before = DAYS[1], {run["dag_run_id"] for run in airflow_stack.rest.runs("ingest_history")}
    options = {"dag-id": "ingest_history", "from-date": day, "to-date": day, "reprocess-behavior": "completed"}
    command = [str(Path(sys.executable).with_name("airflow")), "backfill", "create", "--max-active-runs=1"]
    subprocess.run(
        [*command, *(f"--{name}={value}" for name, value in options.items())],
        env=airflow_stack.environment | airflow_environment(airflow_stack.home / "airflow", airflow_stack.settings),
        check=True,
    )
    (run,) = [run for run in airflow_stack.rest.runs("ingest_history") if run["dag_run_id"] not in before]
    assert (run["run_type"], run["partition_key"]) == ("backfill", day)
    assert ended(airflow_stack, "ingest_history", run["dag_run_id"]) == "success"
    for step in ("crawl", "dedup", "split", "upload"):
        assert "unchanged, nothing to do" in log(airflow_stack, "ingest_history", run["dag_run_id"], step)


def test_only_manifest_urls_travel_between_tasks(
    airflow_stack: Stack, backfilled: dict[str, list[dict[str, Any]]]
) -> None:
    store = airflow_stack.environment["NIGHTSHIFT_STORE"]
    for dag, runs in backfilled.items():
        run = runs[-1]["dag_run_id"]
        for task in airflow_stack.rest.tasks(dag, run):
            value = airflow_stack.rest.result(dag, run, task["task_id"], task["map_index"])
            for url in value if isinstance(value, list) else [value]:
                assert url is None or (url.startswith(store) and "_manifest.json" in url), task["task_id"]


def test_a_broken_yaml_beside_a_good_one_stops_nothing(
    airflow_stack: Stack, corpora: Path, backfilled: dict[str, list[dict[str, Any]]]
) -> None:
    broken = corpora / "broken.yaml"
    broken.write_text("corpus: broken\nclean: {shards: many}\n")
    try:

        def told() -> str | None:
            errors = airflow_stack.rest.call("GET", "importErrors")["import_errors"]
            return next((e["stack_trace"] for e in errors if e["filename"].endswith("faults.py")), None)

        text = wait(told, "the import error is shown", 120)
        assert "broken.yaml: clean.shards" in text
        assert "'many'" in text
        run = airflow_stack.rest.trigger("ingest_history", partition=DAYS[0])
        assert ended(airflow_stack, "ingest_history", run) == "success"
    finally:
        broken.unlink()


def test_a_run_without_a_day_is_refused_when_it_is_triggered(
    airflow_stack: Stack, backfilled: dict[str, list[dict[str, Any]]]
) -> None:
    with pytest.raises(NightshiftError, match=r"400.*no partition key"):
        airflow_stack.rest.trigger("ingest_history")
    with pytest.raises(NightshiftError, match=r"400.*2026-11-3"):
        airflow_stack.rest.trigger("ingest_history", partition="2026-11-3")


def test_a_corpus_without_history_refuses_a_backfill(
    airflow_stack: Stack, corpora: Path, archive_corpus: Callable[..., Path], archive: Path
) -> None:
    live = {"live": {"files": {"path": f"{archive}/*.jsonl"}}}
    archive_corpus(corpora, "liveonly", archive, source=live)
    airflow_stack.rest.wait_for_dag("ingest_liveonly")
    body = {"dag_id": "ingest_liveonly", "from_date": f"{DAYS[0]}T00:00:00Z", "to_date": f"{DAYS[1]}T00:00:00Z"}
    with pytest.raises(NightshiftError, match=r"does not allow backfill"):
        airflow_stack.rest.call("POST", "backfills", body)


def processes(*words: str) -> list[int]:
    """Ids of the live processes whose command line has all of ``words``."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if all(any(word in part for part in line) for word in words):
            found.append(int(entry.name))
    return found


def test_a_step_killed_in_its_work_is_retried_and_the_run_succeeds(
    airflow_stack: Stack, corpora: Path, archive: Path, archive_corpus: Callable[..., Path]
) -> None:
    path = archive_corpus(corpora, "killed", archive)
    airflow_stack.rest.wait_for_dag("ingest_killed")
    airflow_stack.rest.unpause("ingest_killed")
    run = airflow_stack.rest.trigger("ingest_killed", partition=DAYS[0])

    (step,) = wait(lambda: step_processes("gate", "raw", str(path)), "gate raw runs")
    os.kill(step, signal.SIGKILL)

    # The second time the task's own process goes, and its step must not live on.
    guard = wait(lambda: guards("gate", "clean", str(path)), "gate clean runs")[0]
    task = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(task, signal.SIGKILL)
    wait(lambda: not Path(f"/proc/{guard}").exists(), "the guard of the dead task is gone", 30)

    assert ended(airflow_stack, "ingest_killed", run) == "success"
    assert attempts(airflow_stack, "ingest_killed", run, "gate_raw") == 2
    assert attempts(airflow_stack, "ingest_killed", run, "gate_clean") == 2
    assert "killed by signal 9" in log(airflow_stack, "ingest_killed", run, "gate_raw")


def step_processes(*words: str) -> list[int]:
    """The processes of a step itself, without its guard."""
    return sorted(set(processes("nightshift", *words)) - set(processes("guard.py", *words)))[:1]


def guards(*words: str) -> list[int]:
    return processes("guard.py", *words)


def test_a_failed_gate_stops_the_run_until_it_is_released(
    airflow_stack: Stack, corpora: Path, archive: Path, archive_corpus: Callable[..., Path], hook: Hook
) -> None:
    rest = airflow_stack.rest
    archive_corpus(
        corpora,
        "strict",
        archive,
        gates={"clean": {"min_rows": 1000}},
        notifications=[{"webhook": hook.url}],
    )
    for dag in ("ingest_strict", "release_strict"):
        rest.wait_for_dag(dag)
        rest.unpause(dag)
    run = rest.trigger("ingest_strict", partition=DAYS[0])
    assert ended(airflow_stack, "ingest_strict", run) == "failed"

    now = states(airflow_stack, "ingest_strict", run)
    assert now["gate_clean"] == {"failed"}
    assert now["split"] == now["upload"] == {"upstream_failed"}
    assert attempts(airflow_stack, "ingest_strict", run, "gate_clean") == 1, "a failed gate is never retried"
    assert "1000" in log(airflow_stack, "ingest_strict", run, "gate_clean")
    (told,) = hook.got
    assert (told["task"], told["partition"]) == ("gate_clean", DAYS[0])
    assert "GateFailed" in told["error"]

    release = rest.trigger(
        "release_strict", conf={"stage": "clean", "partition": DAYS[0], "reason": "a small site on purpose"}
    )
    assert ended(airflow_stack, "release_strict", release) == "success"
    rest.call(
        "POST",
        "dags/ingest_strict/clearTaskInstances",
        {
            "dag_run_id": run,
            "task_ids": ["gate_clean"],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
            "dry_run": False,
        },
    )
    wait(lambda: rest.run("ingest_strict", run)["state"] != "failed", "the run goes on", 60)
    assert ended(airflow_stack, "ingest_strict", run) == "success"


def test_a_day_is_scored_with_the_champion_from_the_trigger_form(
    airflow_stack: Stack, backfilled: dict[str, list[dict[str, Any]]]
) -> None:
    airflow_stack.rest.unpause("predict_history")
    with pytest.raises(NightshiftError, match="400"):
        airflow_stack.rest.trigger("predict_history")
    run = airflow_stack.rest.trigger("predict_history", conf={"partition": DAYS[0]})
    assert ended(airflow_stack, "predict_history", run) == "success"
    manifest = catalog(airflow_stack).current(f"predictions/history/{DAYS[0]}")
    assert manifest is not None
