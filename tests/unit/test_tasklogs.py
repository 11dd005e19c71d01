"""What is read from the logs of Airflow's tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from containers.embedded.tasklogs import RECENT, TaskLogs

TASK: dict[str, Any] = {"task_id": "clean", "map_index": 2, "try_number": 1}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """``write(line, …)``: the log of the task, as Airflow writes it."""

    def lines(*events: str) -> TaskLogs:
        log = tmp_path / "dag_id=ingest_docs" / "run_id=r1" / "task_id=clean" / "map_index=2" / "attempt=1.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(json.dumps({"event": event, "level": "info"}) + "\n" for event in events))
        return TaskLogs(tmp_path)

    return lines


def test_the_latest_figures_of_a_running_task_are_shown_without_what_is_known_anyway(write: Any) -> None:
    logs = write(
        "timestamp=1 level=info event=progress pages=10 per_second=5.0 corpus=docs partition=2026-11-21 step=clean",
        "timestamp=2 level=info event=progress pages=350 per_second=42.1 seconds_left=7 corpus=docs shard=2/4",
        "timestamp=2 level=info event=committed key=x",
    )
    assert logs.progress("ingest_docs", "r1", TASK) == "pages=350 per_second=42.1 seconds_left=7"


def test_a_task_that_gave_no_figures_or_has_no_log_yet_shows_none(write: Any) -> None:
    assert write("starting").progress("ingest_docs", "r1", TASK) == ""
    assert write("starting").progress("ingest_docs", "r1", {**TASK, "try_number": 2}) == ""


def test_the_end_of_a_huge_log_is_enough(write: Any) -> None:
    logs = write("x" * 3 * RECENT, "level=info event=progress pages=7", "clean: unchanged, nothing to do. documents=1")
    assert logs.progress("ingest_docs", "r1", TASK) == "pages=7"
    assert logs.was_noop("ingest_docs", "r1", TASK)


def test_a_task_that_did_something_was_no_noop(write: Any) -> None:
    assert not write("clean: done. documents=150").was_noop("ingest_docs", "r1", TASK)


def test_lines_that_are_not_airflows_are_shown_as_they_are(tmp_path: Path, write: Any) -> None:
    logs = write("one")
    path = logs.path("ingest_docs", "r1", TASK)
    path.write_bytes(path.read_bytes() + b"Traceback \xff (most recent call last)\n[1, 2]\n")
    shown = ["one", "Traceback \ufffd (most recent call last)", "[1, 2]"]
    assert logs.lines("ingest_docs", "r1", TASK) == shown
