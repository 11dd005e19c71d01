"""A whole gang on this machine: a process for each worker, their logs in one, ended together whatever dies."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from tasks.errors import NightshiftError
from tasks.gang import signals, tree
from tasks.gang.cause import Cause, lost
from tasks.gang.scratch import scratch

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

PATIENCE = 10.0
"""After the first death, and after the result, the others have so long to end by themselves, then so long after a
SIGTERM."""
_CHUNK = 1 << 16


class _Output:
    """One stream of one supervisor, cut into lines."""

    def __init__(self, stream: IO[bytes], line: Callable[[str], None]) -> None:
        self._stream, self._line = stream, line
        self._rest = b""
        os.set_blocking(stream.fileno(), False)

    def fileno(self) -> int:
        return self._stream.fileno()

    def read(self) -> bool:
        """Hand on what has come; False at the end."""
        try:
            data = os.read(self._stream.fileno(), _CHUNK)
        except BlockingIOError:
            return True
        *whole, self._rest = (self._rest + data).split(b"\n")
        if (not data and self._rest) or len(self._rest) > _CHUNK:
            whole, self._rest = [*whole, self._rest], b""
        for line in whole:
            self._line(line.decode(errors="replace"))
        return bool(data)


class _Worker:
    """One supervisor as a process."""

    def __init__(self, index: int, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.index = index
        self.result = ""
        """The last line of standard output."""
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,  # Ctrl-C reaches it through us, once
            preexec_fn=tree.die_with_parent,  # nothing but one system call
        )
        assert self.process.stdout and self.process.stderr
        self.outputs = [_Output(self.process.stdout, self._said), _Output(self.process.stderr, self._logged)]

    def _said(self, line: str) -> None:
        self.result = line

    def _logged(self, line: str) -> None:
        sys.stderr.write(f"[worker {self.index}] {line}\n")
        sys.stderr.flush()

    def cause(self) -> Cause:
        """Why it ended, as it says itself or as its death does."""
        code = self.process.returncode
        if code < 0:
            return lost(self.index, f"its supervisor was killed by {signal.Signals(-code).name}")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            error = json.loads(self.result)["error"]
            return Cause(self.index, str(error["type"]), str(error["message"]))
        return Cause(
            self.index, NightshiftError.__name__, f"worker {self.index} ended with exit code {code}; see its log"
        )


def run_twin(
    commands: Sequence[Sequence[str]],
    environment: Mapping[str, str],
    log: FilteringBoundLogger,
    patience: float = PATIENCE,
) -> Mapping[str, Any]:
    """Run the supervisors of a gang, worker 0's command first, to their common end; returns worker 0's result.

    A SIGTERM is handed on to all of them, who then leave after a checkpoint. Must be called from the main thread of a
    process without other children or threads.

    Raises:
        NightshiftError: what the first of them to end ended with, as its type.
    """
    tree.adopt_orphans()
    workers: list[_Worker] = []
    # A killed supervisor's folder lies in this one.
    with selectors.DefaultSelector() as selector, scratch(environment) as environment:
        told: list[float] = []

        def signalled(numbers: set[int]) -> None:
            if numbers & {signal.SIGTERM, signal.SIGINT} and not told:
                told.append(time.monotonic())
                log.warning("told to leave: all workers are")
                _signal(workers, signal.SIGTERM)

        with signals.heard(selector, signalled, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            try:
                for index, command in enumerate(commands):
                    workers.append(_Worker(index, command, environment))
                    for output in workers[-1].outputs:
                        _listen(selector, output)
                first = _wait(workers, selector, patience)
            finally:
                _signal(workers, signal.SIGKILL)
                for worker in workers:
                    worker.process.wait()
                tree.end_orphans()
                for worker in workers:
                    for output in worker.outputs:
                        while output.read():
                            pass
    if first and workers[0].process.returncode:
        log.error("gang ended", first=first.index, exit_code=first.process.returncode)
        raise first.cause().error()
    if left := [worker.index for worker in workers if worker.process.returncode]:
        log.warning("the result is committed; workers did not end well after that", workers=left)
    payload = json.loads(workers[0].result)
    assert isinstance(payload, dict)
    return payload


def _wait(workers: Sequence[_Worker], selector: selectors.BaseSelector, patience: float) -> _Worker | None:
    """Until all have ended; returns the first of them that ended in failure. One failure is the end of all, and so is
    worker 0's good end: it leaves last, with what all have made."""
    first: _Worker | None = None
    since = 0.0
    steps = [signal.SIGTERM, signal.SIGKILL]
    while _running(workers):
        first = first or _failed(workers)
        if first is None and workers[0].process.returncode is None:
            since = time.monotonic()
        elif steps and time.monotonic() - since > patience:
            since = time.monotonic()
            _signal(workers, steps.pop(0))
        for key, mask in selector.select(0.2):
            key.data(mask)
    return first or _failed(workers)


def _running(workers: Sequence[_Worker]) -> bool:
    return None in [worker.process.poll() for worker in workers]


def _failed(workers: Sequence[_Worker]) -> _Worker | None:
    """A worker that ended in failure; of several that were seen at once, one that was killed: the others followed."""
    return min((w for w in workers if w.process.returncode), key=lambda w: w.process.returncode, default=None)


def _listen(selector: selectors.BaseSelector, output: _Output) -> None:
    fd = output.fileno()

    def ready(mask: int) -> None:
        if not output.read():
            selector.unregister(fd)

    selector.register(fd, selectors.EVENT_READ, ready)


def _signal(workers: Sequence[_Worker], number: int) -> None:
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.send_signal(number)
