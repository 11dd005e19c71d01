"""What the demo shows of a run: what its tasks are at while they run, and what each counted when it has ended."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest
from rich.console import Console
from rich.status import Status

from containers.embedded.follow import SILENCE, Followed, Follower
from containers.embedded.rest import Rest
from containers.embedded.tasklogs import TaskLogs
from tasks.catalog import Catalog, Manifest
from tasks.errors import NightshiftError
from tasks.store import Store

DAG, RUN = "ingest_docs", "r1"
BEGUN = datetime(2026, 11, 20, 3, tzinfo=UTC)


class Clock:
    """The time that the follower sees: it passes only while the follower waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Now(datetime):
    """What is the time of day: 12 s after everything began."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp((BEGUN + timedelta(seconds=12)).timestamp(), tz)


class Airflow(Rest):
    """Tells of one run, which ends ``ends`` seconds from now on the follower's clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ends = 0.0
        self.told: list[dict[str, Any]] = []
        self.results: dict[str, Any] = {}
        self.asked: Callable[[], object] = lambda: None
        """Called whenever the tasks are asked for."""

    def run(self, dag: str, run: str) -> dict[str, Any]:
        return {"state": "success" if self.clock.now >= self.ends else "running"}

    def runs(self, dag: str) -> list[dict[str, Any]]:
        return [{"dag_run_id": name} for name in ("newest", "older") if self.clock.now >= self.ends]

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        self.asked()
        return self.told

    def result(self, dag: str, run: str, task: str, index: int = -1) -> Any:
        return self.results.get(task)


class Terminal:
    """A follower, and what it has written to a terminal or, if that is none, to a file."""

    def __init__(self, folder: Path, store: Store, airflow: Airflow, *, interactive: bool) -> None:
        self.out = io.StringIO()
        self._logs = folder / "logs"
        console = Console(file=self.out, width=200, force_terminal=interactive)
        self.follower = Follower(airflow, store, TaskLogs(self._logs), console)

    def follow(self, deadline: float = 600) -> tuple[Followed, list[str]]:
        """The run after its end, and the lines about it."""
        followed = self.follower.follow(DAG, RUN, deadline)
        return followed, self.lines()

    def lines(self) -> list[str]:
        head, *lines = self.out.getvalue().splitlines()
        assert head == f"{DAG} {RUN}"
        return [line.rstrip() for line in lines]

    def log(self, task: str, event: str) -> None:
        """Write the log of a task anew, as Airflow does."""
        path = self._logs / f"dag_id={DAG}" / f"run_id={RUN}" / f"task_id={task}" / "attempt=1.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"event": event}) + "\n")


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    clock = Clock()
    monkeypatch.setattr("containers.embedded.follow.time", clock)
    monkeypatch.setattr("containers.embedded.follow.datetime", Now)
    return Airflow(clock)


@pytest.fixture
def piped(tmp_path: Path, local_store: Store, airflow: Airflow) -> Terminal:
    return Terminal(tmp_path, local_store, airflow, interactive=False)


@pytest.fixture
def commit(local_store: Store) -> Callable[..., str]:
    """``commit("clean", documents=300)``: a manifest with those counts; its URL."""

    def make(step: str, **counts: Any) -> str:
        made = Manifest(
            step=step, corpus="docs", partition="2026-11-20", fingerprint="f", code={}, config="", counts=counts
        )
        return Catalog(local_store).commit(f"{step}/docs/2026-11-20", made)

    return make


def ended(task: str, state: str = "success", *, index: int = -1, seconds: float = 10.0) -> dict[str, Any]:
    end = BEGUN + timedelta(seconds=seconds)
    return _task(task, state, index, start_date=BEGUN.isoformat(), end_date=end.isoformat())


def running(task: str, state: str = "running") -> dict[str, Any]:
    """A task that has been so for 12 s."""
    return _task(task, state, -1, start_date=BEGUN.isoformat(), end_date=None)


def _task(task: str, state: str, index: int, **dates: str | None) -> dict[str, Any]:
    return {"task_id": task, "map_index": index, "try_number": 1, "state": state, **dates}


@pytest.mark.parametrize("step", ["crawl", "clean", "dedup"])
def test_a_step_over_documents_is_told_with_its_counts_and_its_rate(
    airflow: Airflow, piped: Terminal, commit: Callable[..., str], step: str
) -> None:
    airflow.told = [ended(step)]
    airflow.results[step] = commit(step, documents=300, kept=240, rejected={"length": 50, "language": 10})
    _, lines = piped.follow()
    assert lines == [f"  ✓ {step:<22}  10.0 s  300 documents (30/s), 240 kept, 60 rejected"]


def test_another_step_is_told_with_its_counts_and_scores_and_without_a_rate(
    airflow: Airflow, piped: Terminal, commit: Callable[..., str]
) -> None:
    airflow.told = [ended("split"), ended("promote")]
    airflow.results["split"] = commit("split", documents=240, train=180, validation=30, test=30)
    airflow.results["promote"] = commit("promote", version=3, accuracy=0.91234)
    _, lines = piped.follow()
    assert lines == [
        f"  ✓ {'split':<22}  10.0 s  240 documents, 180 train, 30 validation, 30 test",
        f"  ✓ {'promote':<22}  10.0 s  accuracy 0.9123, version 3",
    ]


def test_a_step_that_had_nothing_to_do_says_so_and_claims_no_rate(
    airflow: Airflow, piped: Terminal, commit: Callable[..., str]
) -> None:
    airflow.told = [ended("clean")]
    airflow.results["clean"] = commit("clean", documents=300)
    piped.log("clean", "clean: unchanged, nothing to do. documents=300")
    followed, lines = piped.follow()
    assert lines == [f"  ✓ {'clean':<22}  10.0 s  unchanged; 300 documents"]
    assert followed.noops == ["clean"]


def test_a_task_of_no_time_or_no_documents_has_no_rate(
    airflow: Airflow, piped: Terminal, commit: Callable[..., str]
) -> None:
    airflow.told = [ended("crawl", seconds=0), ended("clean")]
    airflow.results = {"crawl": commit("crawl", documents=300), "clean": commit("clean", documents=0)}
    _, lines = piped.follow()
    assert [line.partition(" s  ")[2] for line in lines] == ["300 documents", "0 documents"]


def test_a_mapped_task_is_told_by_its_number_and_a_list_of_manifests_by_the_first(
    airflow: Airflow, piped: Terminal, commit: Callable[..., str]
) -> None:
    airflow.told = [ended("clean", index=2), ended("plan")]
    airflow.results = {"clean": commit("clean", documents=40), "plan": [commit("plan", rows=7), "elsewhere"]}
    _, lines = piped.follow()
    assert lines == [f"  ✓ {'clean[2]':<22}  10.0 s  40 documents (4/s)", f"  ✓ {'plan':<22}  10.0 s  7 rows"]


@pytest.mark.parametrize("result", [None, [], "s3://another-store/docs/_manifest.json"])
def test_a_task_without_a_manifest_in_this_store_is_told_by_its_name_and_time(
    airflow: Airflow, piped: Terminal, result: object
) -> None:
    airflow.told = [ended("backup")]
    airflow.results["backup"] = result
    assert piped.follow()[1] == [f"  ✓ {'backup':<22}  10.0 s"]


def test_what_went_wrong_or_was_left_out_is_told_as_such(airflow: Airflow, piped: Terminal) -> None:
    airflow.told = [
        ended("gate_raw", "failed"),
        ended("clean", "upstream_failed"),
        ended("train", "skipped", index=0),
        ended("train", "skipped", index=1),
        ended("merge", "skipped"),
    ]
    followed, lines = piped.follow()
    assert lines == [
        f"  ✗ {'gate_raw':<22}  10.0 s  failed",
        f"  · {'clean':<22}  10.0 s  upstream failed",
        "  · skipped: train, merge",
    ]
    assert (followed.failures, followed.done, followed.trained) == ([airflow.told[0]], 0, False)


def test_without_a_status_line_the_latest_figures_of_running_tasks_are_told_now_and_then(
    airflow: Airflow, piped: Terminal
) -> None:
    airflow.ends = 4 * SILENCE
    airflow.told = [running("crawl"), {**running("gate_raw", "queued"), "start_date": None}]
    airflow.asked = lambda: piped.log("crawl", _progress(airflow.clock))
    _, lines = piped.follow()
    assert lines[0] == "  … crawl 12 s pages=600 per_second=40.0 at=15; gate_raw queued 0 s"
    # As soon as so much time has passed since the last line, and so three times before the end.
    assert [_told_at(line) for line in lines] == [15, 30, 46]


def test_a_task_that_has_just_been_told_is_no_silence(airflow: Airflow, piped: Terminal) -> None:
    airflow.ends = 2 * SILENCE
    airflow.told = [running("clean")]

    def more() -> None:
        piped.log("clean", _progress(airflow.clock))
        if len(airflow.told) == 1 and airflow.clock.now > SILENCE - 5:
            airflow.told.append(ended("crawl"))

    airflow.asked = more
    _, (crawl, clean) = piped.follow()
    assert crawl == f"  ✓ {'crawl':<22}  10.0 s"
    assert _told_at(clean) == 25, "so long after the other line, not after the last of its own kind"


def _progress(clock: Clock) -> str:
    """What a step logs whose figures tell the second at which they were made."""
    seconds = int(clock.now)
    return f"level=info event=progress pages={seconds * 40} per_second=40.0 at={seconds} corpus=docs"


def _told_at(line: str) -> int:
    return int(line.partition(" at=")[2].partition(";")[0])


def test_on_a_terminal_the_status_line_has_the_figures_and_no_line_is_spent_on_them(
    tmp_path: Path, local_store: Store, airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(Status, "update", lambda self, status: shown.append(status))
    terminal = Terminal(tmp_path, local_store, airflow, interactive=True)
    airflow.ends, airflow.told = 2 * SILENCE, [running("crawl"), ended("plan")]
    terminal.log("crawl", "level=info event=progress pages=350 per_second=42.1 corpus=docs")
    terminal.follower.follow(DAG, RUN, 600)
    assert shown[0] == "crawl 12 s pages=350 per_second=42.1  [dim]1 done[/]"
    assert "…" not in terminal.out.getvalue()


def test_a_run_that_does_not_end_in_time_is_given_up_with_what_it_was_at(airflow: Airflow, piped: Terminal) -> None:
    airflow.ends, airflow.told = 1000, [running("clean", "up_for_retry")]
    with pytest.raises(
        NightshiftError, match=r"ingest_docs r1 is still running after 60 s: \['clean up for retry 12 s"
    ):
        piped.follow(deadline=60)


def test_the_newest_run_that_will_do_is_awaited(airflow: Airflow, piped: Terminal) -> None:
    airflow.ends = 30
    assert piped.follower.await_run(DAG, lambda run: True, 60) == "newest"
    assert piped.follower.await_run(DAG, lambda run: bool(run["dag_run_id"] != "newest"), 60) == "older"
    with pytest.raises(NightshiftError, match="no run of ingest_docs began within 60 s"):
        piped.follower.await_run(DAG, lambda run: False, 60)
