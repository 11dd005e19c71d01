"""A test that plays the supervisors of a gang: starts its children, hears their events, gives them orders."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from containers.embedded.ports import pick

Event = dict[str, Any]
DEADLINE = 240.0


class Worker:
    """One child."""

    def __init__(self, index: int, command: Sequence[str], env: dict[str, str], log: Path) -> None:
        self.index = index
        self.events: list[Event] = []
        self._news: queue.Queue[Event | None] = queue.Queue()
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=env
            )
        self.log = log
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._news.put(json.loads(line))
        self._news.put(None)

    def order(self, **order: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()

    def until(self, said: Callable[[Event], bool]) -> Event:
        """The next event for which ``said`` holds."""
        deadline = time.monotonic() + DEADLINE
        while True:
            event = self._news.get(timeout=max(deadline - time.monotonic(), 0.1))
            assert event is not None, f"worker {self.index} ended: {self.events[-1:]}\n{self.log.read_text()[-6000:]}"
            self.events.append(event)
            if event["event"] == "error" and not said(event):
                raise AssertionError(f"worker {self.index}: {event}\n{self.log.read_text()[-6000:]}")
            if said(event):
                return event

    def hears(self, name: str) -> Event:
        return self.until(lambda event: event["event"] == name)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Gang:
    """All children of one training."""

    def __init__(self, folder: Path, yaml: Path, store: str, workers: int, faults: Path | None = None) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTSHIFT_", "TF_"))}
        env |= {"NIGHTSHIFT_CPUS": "1", "NIGHTSHIFT_STORE": store, "CUDA_VISIBLE_DEVICES": ""}
        if faults:
            env["FAULTS"] = str(faults)
        peers = [f"127.0.0.1:{pick()}" for _ in range(workers)]
        self.workers = []
        for index in range(workers):
            cluster = {"cluster": {"worker": peers}, "task": {"type": "worker", "index": index}}
            command = [sys.executable, "-m", "tests.mirrored.child", "--corpus", str(yaml), "--snapshot", "a" * 16]
            own = env | {"TF_CONFIG": json.dumps(cluster)}
            self.workers.append(Worker(index, command, own, folder / f"worker-{index}.log"))

    def __enter__(self) -> Gang:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers:
            worker.kill()

    def __getitem__(self, index: int) -> Worker:
        return self.workers[index]

    def start(self) -> int:
        """Bring all workers to their first step, as the hub does; returns the step they go on from."""
        for worker in self.workers:
            worker.hears("ready")
        newest = self[0].hears("newest")["checkpoint"]
        for worker in self.workers:
            worker.order(order="restore", checkpoint=newest)
        restored = [worker.hears("restored") for worker in self.workers]
        assert len({(event["step"], event["digest"]) for event in restored}) == 1
        for worker in self.workers:
            worker.order(order="go")
        return int(restored[0]["step"])

    def finish(self) -> Event:
        """Wait for the end; the payload of worker 0."""
        payloads = [worker.hears("done")["payload"] for worker in self.workers]
        for worker in self.workers:
            worker.order(order="end")
            assert worker.process.wait(DEADLINE) == 0
        assert all(payload is None for payload in payloads[1:])
        payload: Event = payloads[0]
        return payload

    def kill(self, number: int = signal.SIGKILL) -> None:
        for worker in self.workers:
            worker.process.send_signal(number)
        for worker in self.workers:
            worker.process.wait(DEADLINE)
