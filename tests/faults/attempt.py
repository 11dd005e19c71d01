"""One generation of a gang, run as Airflow runs it, and what it said when."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.ground import Place
from tests.faults.processes import Role, find, marked, strike

NIGHTSHIFT = str(Path(sys.executable).with_name("nightshift"))
DEADLINE = 600.0
POLL = 0.01
STARTED = "started the training process"
RESTORED = "all workers restored the same"


@dataclass(frozen=True, slots=True)
class Said:
    """One structured line of the log, and when it came (monotonic seconds)."""

    at: float
    fields: dict[str, Any]

    @property
    def event(self) -> str:
        return str(self.fields.get("event"))

    @property
    def step(self) -> int | None:
        """The step that a worker had reached, if the line says so."""
        value = self.fields.get("step")  # of a line of the command's own, the name of the command
        return value if isinstance(value, int) and self.event in ("progress", "saved") else None


class Attempt:
    """``nightshift train`` of a mirrored recipe on this machine: the local twin of a gang of pods."""

    def __init__(self, place: Place, workers: int) -> None:
        self.mark = uuid.uuid4().hex
        self._workers = workers
        self.began = time.monotonic()
        self.said: list[Said] = []
        self.lines: list[str] = []
        self.ended: float | None = None
        command = [NIGHTSHIFT, "train", f"--corpus={place.yaml(workers)}", f"--snapshot={place.snapshot}"]
        self._process = subprocess.Popen(
            [*command, f"--store={place.url}", "--json"],
            env=place.ground.marked(self.mark),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        self._out: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stderr, self._hear), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stdout, self._out.append), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Of the twin."""
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def process(self, role: Role, worker: int) -> int | None:
        """A process of this generation, if it is there."""
        return find(self.mark, role, worker, self.pid)

    @property
    def started(self) -> bool:
        """Whether every worker's training process was started."""
        return sum(said.event == STARTED for said in list(self.said)) == self._workers

    @property
    def saved(self) -> list[Said]:
        """The checkpoints that were committed."""
        return [said for said in list(self.said) if said.event == "saved"]

    @property
    def resumed_from(self) -> int | None:
        """The step that all workers restored."""
        return next((said.fields.get("step") for said in list(self.said) if said.event == RESTORED), None)

    def stepped(self, beyond: int) -> float | None:
        """When a step after ``beyond`` was first reported."""
        return next((said.at for said in list(self.said) if (said.step or 0) > beyond), None)

    def wait(self, condition: Callable[[], object], what: str) -> bool:
        """Wait until ``condition``; False when the generation ended before.

        Raises:
            TimeoutError: neither came about; with the end of the log.
        """
        deadline = time.monotonic() + DEADLINE
        while not condition():
            if not self.running:
                return bool(condition())
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {DEADLINE:.0f} s: {what}\n{self.tail()}")
            time.sleep(POLL)
        return True

    def finish(self) -> int:
        """Wait for the end; returns the exit code (negative: killed by that signal)."""
        try:
            code = self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the training did not end within {DEADLINE:.0f} s\n{self.tail()}") from None
        self.ended = time.monotonic()
        for reader in self._readers:
            reader.join(5)
        return code

    def orphans(self) -> list[str]:
        """What is left of the generation's processes; it has ended."""
        return [f"{each.pid} {each.command}" for each in marked(self.mark)]

    @property
    def result(self) -> dict[str, Any]:
        """The last line of standard output."""
        return json.loads(self._out[-1]) if self._out else {}

    @property
    def error(self) -> str:
        """What it says went wrong."""
        return str(self.result.get("error", {}).get("message", ""))

    def tail(self) -> str:
        return "".join(self.lines[-40:])

    def kill(self) -> None:
        """Leave nothing of it: what is still there has been counted, or the harness gives up."""
        if self.running:
            self._process.kill()
            self._process.wait()
        for each in marked(self.mark):
            strike(each.pid, signal.SIGKILL)

    def _read(self, stream: Any, heard: Callable[[str], None]) -> None:
        for line in stream:
            heard(line)

    def _hear(self, line: str) -> None:
        at = time.monotonic()
        self.lines.append(line)
        _, brace, rest = line.partition("{")
        if brace:
            try:
                fields = json.loads(brace + rest)
            except ValueError:
                return
            self.said.append(Said(at, fields))
