"""Steps as processes of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shlex
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from plugins.runtime.base import Outcome
from tasks.errors import BadInput

GUARD = Path(__file__).with_name("guard.py")
LAST_LINES = 20
LINE_BYTES = 64 * 1024
"""A longer line is logged in pieces: one poison page must not fill the memory of a worker."""


class LocalRuntime:
    """Runs ``nightshift`` under a guard that ends the whole process tree with the task.

    ``program``: the command before the arguments; by default ``NIGHTSHIFT_PROGRAM`` (a wrapper, a
    profiler), else the ``nightshift`` of this environment.
    """

    def __init__(self, program: Sequence[str] | None = None) -> None:
        self._program = tuple(program) if program else _nightshift()
        self._guard: subprocess.Popen[bytes] | None = None

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], on_line: Callable[[str], None]) -> Outcome:
        command = [sys.executable, "-I", "-S", str(GUARD), *self._program, *arguments]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        ) as guard:
            self._guard = guard
            last_lines: deque[str] = deque(maxlen=LAST_LINES)
            result = b""

            def hear(line: str) -> None:
                last_lines.append(line)
                on_line(line)

            try:
                for stream, line in _lines(guard):
                    if stream is guard.stderr:
                        hear(line.decode(errors="replace"))
                        continue
                    if result:  # not the last line after all: worth a place in the log, but no result
                        on_line(result.decode(errors="replace"))
                    result = line
                code = guard.wait()
            finally:
                # A timeout or a signal raised here: the guard takes the tree down, and we wait until it has.
                self.kill()
                guard.wait()
        return Outcome(code if code <= 128 else 128 - code, _payload(result), tuple(last_lines))

    def kill(self) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                self._guard.stdin.close()


def _nightshift() -> tuple[str, ...]:
    if chosen := os.environ.get("NIGHTSHIFT_PROGRAM"):
        return tuple(shlex.split(chosen))
    beside = Path(sys.executable).with_name("nightshift")
    found = str(beside) if beside.exists() else shutil.which("nightshift")
    if not found:
        raise BadInput(f"no `nightshift` beside {sys.executable} or on PATH: install this project where Airflow runs")
    return (found,)


def _lines(guard: subprocess.Popen[bytes]) -> Any:
    """(stream, line) of both outputs as they come, until both are closed."""
    rest: dict[IO[bytes], bytes] = {}
    with selectors.DefaultSelector() as selector:
        for stream in (guard.stdout, guard.stderr):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ)
            rest[stream] = b""
        while rest:
            ready = selector.select(timeout=1)
            if not ready and guard.poll() is not None:
                return  # something that left the process group still holds the pipes
            for key, _ in ready:
                stream = key.fileobj  # type: ignore[assignment]
                assert stream is not None and not isinstance(stream, int)
                data = os.read(stream.fileno(), LINE_BYTES)
                if not data:
                    selector.unregister(stream)
                    if last := rest.pop(stream):
                        yield stream, last
                    continue
                *whole, rest[stream] = (rest[stream] + data).split(b"\n")
                yield from ((stream, line) for line in whole if line.strip())
                if len(rest[stream]) > LINE_BYTES and stream is guard.stderr:
                    yield stream, rest[stream]
                    rest[stream] = b""


def _payload(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
