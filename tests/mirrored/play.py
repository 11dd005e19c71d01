"""A test that plays the supervisors of a gang: starts its children, hears their events, gives them orders."""

from __future__ import annotations

import json
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from containers.embedded.ports import pick_many
from tests.mirrored.nursery import Nursery

Event = dict[str, Any]
DEADLINE = 240.0


def clean_environment() -> dict[str, str]:
    """The tests' own environment without Nightshift's settings, and without a GPU."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NIGHTSHIFT_", "TF_"))}
    return kept | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}


class Worker:
    """One child."""

    def __init__(self, nursery: Nursery, index: int, arguments: list[str], env: dict[str, str], log: Path) -> None:
        self.index = index
        self.events: list[Event] = []
        self._news: queue.Queue[Event | None] = queue.Queue()
        orders, self._orders = os.pipe()
        self._events, events = os.pipe()
        with log.open("ab") as errors:
            self.process = nursery.start(arguments, env, orders, events, errors.fileno())
        os.close(orders)
        os.close(events)
        self.log = log
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with os.fdopen(self._events, "rb") as events:
            for line in events:
                self._news.put(json.loads(line))
        self._news.put(None)

    def order(self, **order: Any) -> None:
        os.write(self._orders, json.dumps(order).encode() + b"\n")

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
        self.process.wait(DEADLINE)
        if self._orders >= 0:
            os.close(self._orders)
            self._orders = -1


class Gang:
    """All children of one training."""

    def __init__(
        self,
        nursery: Nursery,
        folder: Path,
        yaml: Path,
        store: str,
        workers: int,
        faults: Path | None = None,
        faulty: Sequence[int] | None = None,
    ) -> None:
        """``faulty`` are the workers that feel the ``faults``; all of them, unless given."""
        env = clean_environment() | {"NIGHTSHIFT_CPUS": "1", "NIGHTSHIFT_STORE": store}
        peers = [f"127.0.0.1:{port}" for port in pick_many(workers)]
        self.workers = []
        for index in range(workers):
            cluster = {"cluster": {"worker": peers}, "task": {"type": "worker", "index": index}}
            arguments = ["--corpus", str(yaml), "--snapshot", "a" * 16]
            felt = faults and (faulty is None or index in faulty)
            own = env | ({"FAULTS": str(faults)} if felt else {}) | {"TF_CONFIG": json.dumps(cluster)}
            self.workers.append(Worker(nursery, index, arguments, own, folder / f"worker-{index}.log"))

    def __enter__(self) -> Gang:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers:
            worker.kill()

    def __getitem__(self, index: int) -> Worker:
        return self.workers[index]

    def start(self) -> int:
        """Bring all workers to their first step, as the hub does; returns the step they go on from."""
        step = self.meet()
        self.go()
        return step

    def meet(self) -> int:
        """The same, all but the order to go."""
        for worker in self.workers:
            worker.hears("ready")
        newest = self[0].hears("newest")["checkpoint"]
        for worker in self.workers:
            worker.order(order="restore", checkpoint=newest)
        restored = [worker.hears("restored") for worker in self.workers]
        assert len({(event["step"], event["digest"]) for event in restored}) == 1
        return int(restored[0]["step"])

    def go(self) -> None:
        """Order the first step."""
        for worker in self.workers:
            worker.order(order="go")

    def fails(self) -> Event:
        """Go on for as long as worker 0 does; the error that it ends with."""

        def failed(event: Event) -> bool:
            return event["event"] == "error"

        first = self[0].until(lambda event: failed(event) or event["event"] == "newest")
        if failed(first):
            return first
        for worker in self.workers:
            worker.order(order="restore", checkpoint=first["checkpoint"])
            worker.hears("restored")
            worker.order(order="go")
        return self[0].until(failed)

    def until_file(self, path: Path) -> None:
        """Wait until a file is there."""
        self._until(path.exists, f"no {path.name}")

    def until_log(self, pattern: str) -> None:
        """Wait until worker 0's log has a line like this."""
        self._until(lambda: re.search(pattern, self[0].log.read_text()), f"nothing like {pattern!r} in the log")

    def _until(self, true: Callable[[], object], otherwise: str) -> None:
        deadline = time.monotonic() + DEADLINE
        while not true():
            assert time.monotonic() < deadline, otherwise
            time.sleep(0.02)

    def finish(self) -> Event:
        """Wait for the end; the payload of worker 0."""
        payloads = [worker.hears("done")["payload"] for worker in self.workers]
        for worker in self.workers:
            worker.order(order="end")
            assert worker.process.wait(DEADLINE) == 0
        assert all(payload is None for payload in payloads[1:])
        payload: Event = payloads[0]
        return payload
