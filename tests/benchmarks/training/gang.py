"""A mirrored training whose workers are pinned to a core each, and what it measured of itself."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.gang.peers import on_loopback
from tests.benchmarks.training.place import Place, environment

DEADLINE = 300.0
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one training says of its steps (``volatile`` of its part), and what its supervisors took meanwhile."""

    examples_per_second: float
    step_seconds: float
    reduce_seconds: float
    agree_seconds: float
    input_wait: float
    """The largest share of the time of the steps that a worker waited for its batches."""
    stalls: Sequence[float]
    supervisor: float
    """Processor time of the busiest supervisor as a share of the time that was trained."""


class Gang:
    """The workers of one training, started; worker ``i`` and all that it starts run on ``cores[i]``."""

    def __init__(self, place: Place, cores: Sequence[int]) -> None:
        self._place = place
        peers = on_loopback(len(cores))
        addresses = ",".join(map(str, peers))
        self._workers = [
            _Worker(
                place.command("train", f"--worker={index}/{len(cores)}", f"--peers={addresses}", "--generation=bench"),
                core,
            )
            for index, core in enumerate(cores)
        ]

    def finish(self) -> Measured:
        """Wait for the end.

        Raises:
            SystemExit: a worker failed; with the end of its log.
        """
        try:
            for worker in self._workers:
                worker.finish()
        finally:
            for worker in self._workers:
                worker.kill()
        training = self._place.training
        said = self._place.context.catalog.load(training.model(training.parts[0]), made_by="train").volatile
        return Measured(
            examples_per_second=said["examples_per_second"],
            step_seconds=said["step_seconds"],
            reduce_seconds=said["reduce_seconds"],
            agree_seconds=said["agree_seconds"],
            input_wait=max(said["input_wait"], default=0.0),
            stalls=said["checkpoint_stalls"],
            supervisor=max(worker.share for worker in self._workers),
        )


class _Worker:
    def __init__(self, command: Sequence[str], core: int) -> None:
        self._process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._log: list[str] = []
        self._marks: list[tuple[float, float]] = []
        """Wall and processor seconds when training began, and at each epoch."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def share(self) -> float:
        """Processor time of the supervisor (``taskset`` becomes it) over the time from the first epoch to the last."""
        if not self._marks:  # a member that only serves
            return 0.0
        (wall, used), (last_wall, last_used) = self._marks[0], self._marks[-1]
        return (last_used - used) / max(last_wall - wall, 1e-9)

    def finish(self) -> None:
        code = self._process.wait(DEADLINE)
        self._reader.join(10)
        if code:
            raise SystemExit(f"a worker ended with {code}:\n{''.join(self._log[-30:])}")

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self._log.append(line)
            if _event(line) in ("training", "epoch"):
                self._marks.append((time.monotonic(), _used(self._process.pid)))


def _event(line: str) -> Any:
    try:
        return json.loads(line).get("event")
    except (ValueError, AttributeError):
        return None


def _used(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK
