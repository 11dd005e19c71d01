"""Airflow's REST API, as far as the stack and its tests need it."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import urllib3

from tasks.errors import NightshiftError

PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
PATIENCE = 180.0
"""Seconds for which a busy server is asked again: each call alone may take 30."""
PAUSE = 1.0
"""Seconds between two calls of the kind."""


class NotThere(NightshiftError):
    """Airflow has nothing under that path."""


class Busy(NightshiftError):
    """Airflow did not answer, or failed at it: it may do better in a moment."""


class Conflict(NightshiftError):
    """Airflow has one of that name already."""


class Rest:
    """A client of the Airflow at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = urllib3.PoolManager(timeout=30, retries=False)
        self._token: str | None = None

    def healthy(self) -> bool:
        """Whether every component has reported itself healthy."""
        try:
            health = self._http.request("GET", f"{self.url}/api/v2/monitor/health", timeout=3).json()
        except (urllib3.exceptions.HTTPError, ValueError):
            return False
        return all((health.get(part) or {}).get("status") == "healthy" for part in PARTS)

    def call(self, method: str, path: str, body: object | None = None, *, repeat: bool | None = None) -> Any:
        """One call under ``/api/v2``; returns the JSON that came back.

        While the server is too busy to answer, as it is now and then on SQLite, the call is repeated for ``PATIENCE``
        seconds. A POST is not, by default: it may have done its work before its answer was lost.

        Raises:
            NotThere: Airflow knows nothing of the kind.
            Conflict: it has one of that name already.
            NightshiftError: Airflow does not answer, or answers with an error; its text is in the message.
        """
        repeat = method != "POST" if repeat is None else repeat
        end = time.monotonic() + (PATIENCE if repeat else 0)
        while True:
            try:
                return self._once(method, path, body)
            except Busy:
                if time.monotonic() > end:
                    raise
                time.sleep(PAUSE)

    def _once(self, method: str, path: str, body: object | None) -> Any:
        try:
            response = self._http.request(
                method, f"{self.url}/api/v2/{path}", json=body, headers={"Authorization": f"Bearer {self._bearer()}"}
            )
        except urllib3.exceptions.HTTPError as error:
            raise Busy(f"Airflow at {self.url} does not answer: {error}") from error
        if response.status >= 400:
            kind = {404: NotThere, 409: Conflict}.get(
                response.status, Busy if response.status >= 500 else NightshiftError
            )
            raise kind(f"{method} {path}: {response.status} {response.data.decode()[:1000]}")
        return response.json() if response.data else None

    def wait_for_dag(self, dag: str, deadline: float = 120.0) -> None:
        """Block until Airflow has read a DAG, out of turn if it knows another of the same file.

        Raises:
            NightshiftError: it was not there in time; with the import errors that there are.
        """
        end, asked = time.monotonic() + deadline, False
        while True:
            found = self._dags(dag)
            if any(each["dag_id"] == dag for each in found):
                return
            asked = asked or self._read_again(dag)
            if time.monotonic() > end:
                errors = [each["stack_trace"] for each in self.call("GET", "importErrors")["import_errors"]]
                raise NightshiftError(f"Airflow has no DAG {dag}: {errors or 'and no import error'}")
            time.sleep(0.5)

    def _dags(self, pattern: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"dags?dag_id_pattern={quote(pattern)}&limit=100")["dags"]
        return found

    def _read_again(self, dag: str) -> bool:
        """Have the file of the DAG's kind (``ingest_…``) read now; False if Airflow has read none of the kind yet."""
        kind = dag.partition("_")[0] + "_"
        known = [each for each in self._dags(f"{kind}%") if each["dag_id"].startswith(kind)]
        if known:
            with contextlib.suppress(Conflict):  # somebody else has asked for it just now
                self.call("PUT", f"parseDagFile/{known[0]['file_token']}")
        return bool(known)

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Have a pool that counts deferred tasks too; one that is there stays as somebody made it."""
        try:
            self.call("GET", f"pools/{quote(name)}")
        except NotThere:
            pool = {"name": name, "slots": slots, "description": description, "include_deferred": True}
            with contextlib.suppress(Conflict):  # of an answer that was lost, or somebody else's
                self.call("POST", "pools", pool, repeat=True)

    def unpause(self, dag: str) -> None:
        """Let a DAG's runs start."""
        self.call("PATCH", f"dags/{dag}?update_mask=is_paused", {"is_paused": False})

    def trigger(self, dag: str, *, partition: str | None = None, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run; returns its id."""
        # A name of our own makes it safe to ask again: the second time, the run is there.
        name = f"manual__{datetime.now(UTC).isoformat()}__{secrets.token_hex(4)}"
        body: dict[str, Any] = {"dag_run_id": name, "logical_date": None, "conf": dict(conf or {})}
        if partition is not None:
            body["partition_key"] = partition
        with contextlib.suppress(Conflict):
            self.call("POST", f"dags/{dag}/dagRuns", body, repeat=True)
        return name

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """Runs of a DAG, newest first."""
        return list(self.call("GET", f"dags/{dag}/dagRuns?order_by=-run_after&limit=100")["dag_runs"])

    def run(self, dag: str, run: str) -> dict[str, Any]:
        """One run."""
        return dict(self.call("GET", f"dags/{dag}/dagRuns/{quote(run, safe='')}"))

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        """Task instances of a run, in the order in which they started."""
        found = self.call("GET", f"dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances?limit=1000")
        return sorted(found["task_instances"], key=lambda each: each["start_date"] or "~")

    def result(self, dag: str, run: str, task: str, index: int = -1) -> Any:
        """What a task left as its XCom, or None."""
        path = (
            f"dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances/{task}/xcomEntries/return_value?map_index={index}"
        )
        try:
            return self.call("GET", path)["value"]
        except NotThere:
            return None

    def log(self, dag: str, run: str, task: str, attempt: int, index: int = -1) -> str:
        """The log of one attempt of a task, the exceptions that it tells of among its lines."""
        path = f"dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances/{task}/logs/{attempt}?map_index={index}"
        content = self.call("GET", path)["content"]
        return "\n".join(line for entry in content for line in _lines(entry))

    def _bearer(self) -> str:
        if self._token is None:
            # On loopback everyone is the administrator; the token is still asked for, as any client must.
            self._token = str(self._http.request("GET", f"{self.url}/auth/token").json()["access_token"])
        return self._token


def _lines(entry: Any) -> list[str]:
    """What an entry of a log says, and then the exception that came with it, its causes first."""
    if not isinstance(entry, dict):
        return [str(entry)]
    raised = reversed(entry.get("error_detail") or [])
    return [str(entry.get("event", entry)), *(f"{each['exc_type']}: {each['exc_value']}" for each in raised)]
