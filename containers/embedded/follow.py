"""Watch a DAG run in the terminal: a line for each task as it ends, with what it counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from containers.embedded.rest import Rest
from containers.embedded.tasklogs import TaskLogs
from tasks.catalog import Catalog, Manifest
from tasks.errors import NightshiftError
from tasks.store import Store

POLL = 0.7
SILENCE = 15.0
"""Seconds after which a terminal that shows no status line gets a line."""
ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
_MARKS = {"success": "[green]✓[/]", "failed": "[red]✗[/]", "skipped": "[dim]·[/]", "upstream_failed": "[red]·[/]"}
_SHOWN = ("documents", "kept", "rows", "visited", "unchanged", "train", "validation", "test", "vocabulary", "trees")
_RATED = ("crawl", "clean", "dedup")
_SCORES = ("accuracy", "macro_f1", "f1", "perplexity", "r2", "rmse", "version", "files", "expectations", "failed")


@dataclass(slots=True)
class Followed:
    """A run that ended: its state, its tasks, and the names of those that had nothing to do."""

    dag: str
    run: str
    logs: TaskLogs
    state: str = "queued"
    tasks: list[dict[str, Any]] = field(default_factory=list)
    noops: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[dict[str, Any]]:
        return [task for task in self.tasks if task["state"] == "failed"]

    @property
    def done(self) -> int:
        """How many tasks ended well."""
        return sum(task["state"] == "success" for task in self.tasks)

    @property
    def trained(self) -> bool:
        """Whether a model was fitted."""
        return any(task["task_id"] == "train" and task["state"] == "success" for task in self.tasks)


class Follower:
    """Prints what happens in a run until it ends: a line a task, and what the running ones are at."""

    def __init__(self, rest: Rest, store: Store, logs: TaskLogs, console: Console) -> None:
        self._rest = rest
        self._catalog = Catalog(store)
        self._logs = logs
        self._console = console
        self._spoke = time.monotonic()

    def follow(self, dag: str, run: str, deadline: float) -> Followed:
        """Watch one run to its end.

        Raises:
            NightshiftError: it did not end within ``deadline`` seconds.
        """
        end = time.monotonic() + deadline
        followed = Followed(dag, run, self._logs)
        told: set[tuple[str, int]] = set()
        self._console.print(f"[bold]{dag}[/] [dim]{run}[/]")
        with self._console.status("waiting for the first task") as status:
            while True:
                # The state first: whatever it says, the tasks read after it are no older.
                followed.state = str(self._rest.run(dag, run)["state"])
                followed.tasks = self._rest.tasks(dag, run)
                for task in followed.tasks:
                    key = (task["task_id"], task["map_index"])
                    if task["state"] in ENDED and key not in told:
                        told.add(key)
                        if task["state"] != "skipped":
                            self._tell(followed, task)
                if followed.state in ("success", "failed"):
                    self._tell_skipped(followed)
                    return followed
                active = self._active(followed)
                status.update(f"{'; '.join(active) or 'scheduling'}  [dim]{len(told)} done[/]")
                self._speak(active)
                if time.monotonic() > end:
                    raise NightshiftError(f"{dag} {run} is still {followed.state} after {deadline:.0f} s: {active}")
                time.sleep(POLL)

    def await_run(self, dag: str, accept: Callable[[dict[str, Any]], bool], deadline: float) -> str:
        """The id of the newest run that ``accept`` takes, as soon as there is one.

        Raises:
            NightshiftError: there was none in time.
        """
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            for run in self._rest.runs(dag):
                if accept(run):
                    return str(run["dag_run_id"])
            time.sleep(POLL)
        raise NightshiftError(f"no run of {dag} began within {deadline:.0f} s")

    def _active(self, followed: Followed) -> list[str]:
        """What each task under way is at."""
        told = []
        for task in followed.tasks:
            if task["state"] in ("running", "queued", "deferred", "up_for_retry"):
                state = "" if task["state"] == "running" else f" {task['state'].replace('_', ' ')}"
                figures = self._logs.progress(followed.dag, followed.run, task) if not state else ""
                told.append(f"{name_of(task)}{state} {_seconds(task):.0f} s {figures}".rstrip())
        return told

    def _speak(self, active: list[str]) -> None:
        """Where no status line can be shown, say now and then that work goes on."""
        if not self._console.is_terminal and active and time.monotonic() - self._spoke > SILENCE:
            self._spoke = time.monotonic()
            self._console.print(f"  … {'; '.join(active)}", markup=False, highlight=False, soft_wrap=True)

    def _tell(self, followed: Followed, task: dict[str, Any]) -> None:
        self._spoke = time.monotonic()
        manifest = self._manifest(followed, task)
        noop = task["state"] == "success" and self._logs.was_noop(followed.dag, followed.run, task)
        if noop:
            followed.noops.append(name_of(task))
        line = Text.from_markup(f"  {_MARKS.get(task['state'], '?')} ")
        line.append(f"{name_of(task):<22}", style="bold" if task["state"] == "failed" else "")
        line.append(f"{_seconds(task):6.1f} s  ", style="dim")
        line.append("unchanged; " if noop else "", style="cyan")
        line.append(_counts(manifest, 0 if noop else _seconds(task)) if manifest else _outcome(task))
        self._console.print(line, soft_wrap=True)

    def _tell_skipped(self, followed: Followed) -> None:
        names = dict.fromkeys(task["task_id"] for task in followed.tasks if task["state"] == "skipped")
        if names:
            self._console.print(f"  {_MARKS['skipped']} skipped: {', '.join(names)}", soft_wrap=True)

    def _manifest(self, followed: Followed, task: dict[str, Any]) -> Manifest | None:
        if task["state"] != "success":
            return None
        url = self._rest.result(followed.dag, followed.run, task["task_id"], task["map_index"])
        if isinstance(url, list):
            url = url[0] if url else None
        # A backup's manifest lies in another store.
        if not isinstance(url, str) or not url.startswith(f"{self._catalog.store.url}/"):
            return None
        return self._catalog.current(self._catalog.folder(url.partition("#")[0]))


def name_of(task: dict[str, Any]) -> str:
    """A task instance as people write it: ``clean[2]``."""
    return str(task["task_id"]) if task["map_index"] < 0 else f"{task['task_id']}[{task['map_index']}]"


def _outcome(task: dict[str, Any]) -> str:
    return "" if task["state"] == "success" else str(task["state"]).replace("_", " ")


def _seconds(task: dict[str, Any]) -> float:
    """How long a task has been running, or ran."""
    if not task["start_date"]:
        return 0.0
    begun = datetime.fromisoformat(task["start_date"])
    ended = datetime.fromisoformat(task["end_date"]) if task["end_date"] else datetime.now(UTC)
    return (ended - begun).total_seconds()


def _counts(manifest: Manifest, seconds: float) -> str:
    counts = manifest.counts
    told = [f"{counts[name]} {name}" for name in _SHOWN if isinstance(counts.get(name), int)]
    if manifest.step in _RATED and seconds > 0 and counts.get("documents"):
        told[0] += f" ({counts['documents'] / seconds:.0f}/s)"
    told += [f"{name} {counts[name]:.4g}" for name in _SCORES if isinstance(counts.get(name), int | float)]
    if isinstance(counts.get("rejected"), dict):
        told.append(f"{sum(counts['rejected'].values())} rejected")
    return ", ".join(told)
