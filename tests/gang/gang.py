"""Start a gang, do something to it, see how each of its supervisors ends and that nothing is left of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.gang.identity import Identity
from tasks.gang.peers import Peer, on_loopback

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60.0
PYTHON = (sys.executable, "-S", "-m")
TWIN = 9
QUICK: dict[str, float] = {
    "rendezvous": 60.0,
    "startup": 60.0,
    "step": 60.0,
    "beat": 0.2,
    "silence": 30.0,
    "stopped": 0.5,
    "settle": 1.0,
    "port": 0.2,
    "hello": 0.5,
    "grace": 50.0,
    "farewell": 2.0,
}
IDENTITY = Identity("g1", "run", 2, "snap", "config", {"recipe": "r", "version": 1, "libraries": {"keras": "3.15.1"}})


def wait_until(condition: Callable[[], bool], what: str, log: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {DEADLINE} s: {what}\n{log()}"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


MakeGang = Callable[..., "Gang"]
"""The fixture ``make_gang``: ``make_gang(script, workers=2, **timing)`` is a gang that is not started yet."""


@dataclass
class Ended:
    """How one supervisor ended."""

    code: int
    result: dict[str, Any]
    log: str

    @property
    def error(self) -> str:
        error = self.result.get("error", {})
        return f"{error.get('type')}: {error.get('message')}"


@dataclass
class Gang:
    """``workers`` supervisors of one gang in ``folder``, with one script for their children."""

    folder: Path
    script: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    workers: int = 2
    replaceable: tuple[int, ...] = ()
    """Workers whose child may be replaced."""
    peers: tuple[Peer, ...] = ()
    elsewhere: bool = False
    """Whether its process ids are another namespace's."""
    running: dict[int, subprocess.Popen[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.peers = self.peers or on_loopback(self.workers)
        self.identity = {**IDENTITY.to_json(), "workers": self.workers}

    def start(self, *workers: int, wrapper: tuple[str, ...] = (), **identity: Any) -> Gang:
        """Start these supervisors, or all of them: under ``wrapper``, and with another ``identity``."""
        self.elsewhere = bool(wrapper)
        for worker in workers or range(self.workers):
            self.running[worker] = self._run(worker, [*wrapper, *self.command(worker, **identity)])
        return self

    def start_twin(self, patience: float = 1.0) -> Gang:
        """Start all of them under the local twin, which is then in ``running`` as worker 9."""
        commands = json.dumps([self.command(worker) for worker in range(self.workers)])
        self.running[TWIN] = self._run(TWIN, [*PYTHON, "tests.gang.twin", commands, str(patience)])
        return self

    def command(self, worker: int, **identity: Any) -> list[str]:
        """The command line of one supervisor."""
        gang = {
            "worker": worker,
            "peers": ",".join(map(str, self.peers)),
            "identity": {**self.identity, **identity},
            "names": str(self.folder / "names"),
            "timing": {**QUICK, **self.timing},
            "replaceable": worker in self.replaceable,
        }
        return [*PYTHON, "tests.gang.supervisor", json.dumps(gang)]

    def _run(self, worker: int, command: list[str]) -> subprocess.Popen[str]:
        script = json.dumps({"folder": str(self.folder), **self.script})
        self.scratch.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "NIGHTSHIFT_SCRIPT": script,
            "TMPDIR": str(self.scratch),
        }
        with (self.folder / f"log-{worker}").open("w") as log:
            return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT)

    @property
    def scratch(self) -> Path:
        """Where temporary files of the gang go."""
        return self.folder / "tmp"

    def log(self, worker: int) -> str:
        return (self.folder / f"log-{TWIN if TWIN in self.running else worker}").read_text()

    def child(self, worker: int, at: str) -> int:
        """The process id of a worker's child, when it has come to a place."""
        mark = self.folder / f"{worker}.{at}"
        wait_until(mark.exists, f"worker {worker} is at {at}", lambda: self.log(worker))
        return int(mark.read_text())

    def says(self, worker: int, words: str) -> None:
        """Wait until a supervisor has logged this."""
        wait_until(lambda: words in self.log(worker), f"worker {worker} says {words!r}", lambda: self.log(worker))

    def release(self) -> None:
        """Let a child that holds go on."""
        (self.folder / "go").touch()

    def signal(self, worker: int, number: int) -> None:
        os.kill(self.running[worker].pid, number)

    def end(self, *workers: int) -> list[Ended]:
        """Wait for these supervisors (all); every child that ever said where it is must be dead."""
        ended = []
        for worker in workers or sorted(self.running):
            process = self.running[worker]
            try:
                out, _ = process.communicate(timeout=DEADLINE)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"worker {worker} has not ended: {self.log(worker)}") from None
            lines = out.splitlines()
            ended.append(Ended(process.returncode, json.loads(lines[-1]) if lines else {}, self.log(worker)))
            if process.returncode >= 0 and not self.elsewhere:
                assert worker not in self.leftovers(), f"the child of worker {worker} has outlived it"
        return ended

    def close(self) -> None:
        while self.running:
            _, process = self.running.popitem()
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()

    def leftovers(self) -> set[int]:
        """Workers of which a child is alive."""
        marks = [path for path in self.folder.glob("?.*") if path.suffix != ".tmp"]
        return {int(path.name[0]) for path in marks if alive(int(path.read_text()))}
