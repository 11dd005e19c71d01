"""The logs of Airflow's tasks, read from the disk where they are written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

_PROGRESS = re.compile(r"\bevent=progress\b(.*)")
_PAIR = re.compile(r"\b(\w+)=(\S+)")
_CONTEXT = {"corpus", "partition", "step", "shard", "timestamp", "level", "snapshot", "run"}
_NOOP = ": unchanged, nothing to do."
RECENT = 32 * 1024
"""Bytes at the end of a log in which the latest progress is looked for."""


class TaskLogs:
    """The logs below Airflow's ``folder`` for them. A task is as the REST API gives it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, dag: str, run: str, task: dict[str, Any]) -> Path:
        """Where the log of the task's latest attempt lies."""
        place = self._folder / f"dag_id={dag}" / f"run_id={run}" / f"task_id={task['task_id']}"
        if task["map_index"] >= 0:
            place = place / f"map_index={task['map_index']}"
        return place / f"attempt={task['try_number']}.log"

    def lines(self, dag: str, run: str, task: dict[str, Any], *, recent: bool = False) -> list[str]:
        """What the task said, a line each; none if it said nothing yet."""
        try:
            with self.path(dag, run, task).open("rb") as log:
                if recent:
                    log.seek(max(0, log.seek(0, 2) - RECENT))
                return [_said(line) for line in log.read().decode(errors="replace").splitlines()]
        except FileNotFoundError:
            return []

    def progress(self, dag: str, run: str, task: dict[str, Any]) -> str:
        """The latest figures of a running task, as ``pages=350 per_second=42.1``; empty if it gave none."""
        for line in reversed(self.lines(dag, run, task, recent=True)):
            if found := _PROGRESS.search(line):
                return " ".join(f"{name}={value}" for name, value in _PAIR.findall(found[1]) if name not in _CONTEXT)
        return ""

    def was_noop(self, dag: str, run: str, task: dict[str, Any]) -> bool:
        """Whether a task that ended found that there was nothing to do."""
        return any(_NOOP in line for line in self.lines(dag, run, task, recent=True))


def _said(line: str) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        return line
    return str(value.get("event", line)) if isinstance(value, dict) else line
