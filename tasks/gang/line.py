"""The line between a supervisor and its child: one JSON object a line, events up, orders down.

The supervisor (``tasks.gang``) starts the child, which imports TensorFlow, as ``python -m
tasks.training.mirrored.worker --corpus CORPUS --snapshot ID`` with ``NIGHTSHIFT_STORE`` and ``TF_CONFIG`` (its index
and all addresses) in the environment, orders on standard input and events on standard output. The child's life::

    child                                                supervisor
    {"event": "ready"}                                   every library is imported, the cluster has formed
    {"event": "newest", "checkpoint": KEY|null}          worker 0 alone: what to restore
                                                         {"order": "restore", "checkpoint": KEY|null}
    {"event": "restored", "step": S, "digest": HEX}
                                                         {"order": "go"}: all workers restored the same
    {"event": "step", "step": S, …metrics}               progress, at most a few a second
    {"event": "alive", "doing": "evaluation"}            no step, but no hang either
    {"event": "saved", "step": S, "key": KEY}
                                                         {"order": "stop"}: leave after a checkpoint
    {"event": "done", "payload": {…}}                    or {"event": "error", "type": "BadInput", "message": "…"}
                                                         {"order": "end"}: no peer needs the child any more

Standard library only: the child has its line before it imports anything that may hang.
"""

from __future__ import annotations

import ctypes
import faulthandler
import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from tasks.errors import NightshiftError, PeerLost, Preempted

LINE_BYTES = 1 << 20
"""A longer line is nobody's: the one who sends it is cut off."""
PROGRESS_SECONDS = 0.25
"""Time between two reported steps, at least."""
_PR_SET_PDEATHSIG = 1


class TooLong(ValueError):
    """A line without an end."""


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as its line."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class Lines:
    """Bytes as they come, put together to messages."""

    def __init__(self, limit: int = LINE_BYTES) -> None:
        self.limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The messages that ``data`` completes.

        Raises:
            TooLong: a line is longer than ``limit``.
            ValueError: a line is no JSON object.
        """
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            if len(line) > self.limit:
                raise TooLong(f"a line of {len(line)} bytes; at most {self.limit} are allowed")
            if line.strip():
                yield _object(line)
        if len(self._rest) > self.limit:
            raise TooLong(f"a line of more than {self.limit} bytes")


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {line[:80]!r}") from error
    if not isinstance(value, dict):
        raise ValueError(f"no JSON object: {line[:80]!r}")
    return value


class ChildEnd:
    """The child's end. When the supervisor is gone, the process ends at once, whatever it is doing."""

    def __init__(self, orders: int, events: int) -> None:
        """``orders`` and ``events`` are file descriptors that nobody else reads or writes."""
        self._events = events
        self._writing = threading.Lock()
        self._news = threading.Condition()
        self._orders: list[dict[str, Any]] = []
        self._stopping = False
        self._reported = -PROGRESS_SECONDS
        threading.Thread(target=self._read, args=(orders,), name="orders", daemon=True).start()

    @classmethod
    def inherited(cls) -> ChildEnd:
        """The line that the supervisor gave this process as standard input and output.

        Both are taken off those numbers: what any library prints goes to standard error, into the log.
        """
        sys.stdout.flush()
        orders, events = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)
        return cls(orders, events)

    @property
    def stopping(self) -> bool:
        """Whether this worker was told to leave; checked after every step by all workers together."""
        return self._stopping

    def stop(self) -> None:
        """Be told to leave."""
        self._stopping = True

    def report(self, event: str, **fields: Any) -> None:
        """Tell the supervisor."""
        line = encode({"event": event, **fields})
        try:
            with self._writing:
                while line:
                    line = line[os.write(self._events, line) :]
        except OSError:
            _gone()

    def progress(self, step: int, **metrics: float) -> None:
        """Report a step done, unless one was reported a moment ago."""
        now = time.monotonic()
        if now - self._reported >= PROGRESS_SECONDS:
            self._reported = now
            self.report("step", step=step, **metrics)

    def wait(self, order: str) -> dict[str, Any]:
        """Block until the supervisor gives this order, and return it; the supervisor's watchdog bounds the wait.

        Raises:
            NightshiftError: it gave another one.
        """
        with self._news:
            self._news.wait_for(lambda: self._orders)
            given = self._orders.pop(0)
        if given.get("order") != order:
            raise NightshiftError(f"waited for the order {order!r}, was given {given}: both ends must be one release")
        return given

    def _read(self, orders: int) -> None:
        lines = Lines()
        while data := os.read(orders, 1 << 16):
            for message in lines.feed(data):
                if message.get("order") == "stop":
                    self._stopping = True
                    continue
                with self._news:
                    self._orders.append(message)
                    self._news.notify_all()
        _gone()


def serve(work: Callable[[ChildEnd], Mapping[str, Any] | None]) -> NoReturn:
    """Run ``work`` as the whole life of a child process, report how it ended, and end the process.

    What it returns is the payload of ``done`` (worker 0: the step's result as JSON). A ``NightshiftError`` is reported
    by name and message and its exit code is the process's; anything else is a crash: its traceback goes to the log.
    A child that is done, or that was preempted, stays until no peer needs it.

    The process ends without the interpreter's own end: TensorFlow's would wait for peers that are gone.
    """
    end = ChildEnd.inherited()
    _die_with(os.getppid())
    signal.signal(signal.SIGTERM, lambda number, frame: end.stop())
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # a watchdog asks where a child hangs before it kills it
    code = 0
    try:
        payload = work(end)
    except NightshiftError as error:
        code = error.exit_code
        end.report("error", type=type(error).__name__, message=str(error))
    except BaseException as error:  # noqa: BLE001  # the supervisor decides; nothing may leave unreported
        code = 1
        traceback.print_exc()
        end.report("error", type=type(error).__name__, message=str(error))
    else:
        end.report("done", payload=payload)
    if code in (0, Preempted.exit_code):
        end.wait("end")
    leave(code)


def leave(code: int) -> NoReturn:
    """End the process now; what was printed is printed."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _gone() -> NoReturn:
    """No supervisor, no gang: a child that trained on would hold its port against the next generation."""
    os.write(2, b"the supervisor is gone: so is its child\n")
    os._exit(PeerLost.exit_code)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when ``parent`` dies: a thread that reads a pipe needs the interpreter."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            _gone()
