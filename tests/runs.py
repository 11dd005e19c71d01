"""Runs of DAGs under the embedded stack: waiting for their end, and what became of their tasks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote

from containers.embedded.stack import Stack
from tasks.catalog import Catalog
from tasks.store import open_store

T = TypeVar("T")


def wait(condition: Callable[[], T], what: str, seconds: float = 300) -> T:
    """The first true value of ``condition``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.5)
    return value


def ended(stack: Stack, dag: str, run: str, seconds: float = 600) -> str:
    """Wait for the end of a run; its state."""

    def state() -> str | None:
        now = str(stack.rest.run(dag, run)["state"])
        return now if now in ("success", "failed") else None

    return wait(state, f"{dag} {run} ends", seconds)


def states(stack: Stack, dag: str, run: str) -> dict[str, set[str]]:
    """The states of a run's tasks; several for a mapped one."""
    found: dict[str, set[str]] = {}
    for task in stack.rest.tasks(dag, run):
        found.setdefault(task["task_id"], set()).add(str(task["state"]))
    return found


def attempts(stack: Stack, dag: str, run: str, task_id: str) -> int:
    """How often a task was tried, counted over all its mapped instances."""
    return max(int(task["try_number"]) for task in stack.rest.tasks(dag, run) if task["task_id"] == task_id)


def log(stack: Stack, dag: str, run: str, task_id: str, attempt: int = 1) -> str:
    """A task's log with everything that its lines carry, error details included."""
    path = f"dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances/{task_id}/logs/{attempt}"
    return json.dumps(stack.rest.call("GET", path)["content"])


def catalog(stack: Stack) -> Catalog:
    """What the stack's runs left on its store."""
    return Catalog(open_store(stack.environment["NIGHTSHIFT_STORE"], stack.environment))
