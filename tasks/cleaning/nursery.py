"""The parent's side of the process that forks refining children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import tasks
from tasks.cleaning.worker import NUMBER
from tasks.errors import NightshiftError

_KEEP_FREED = {"MALLOC_MMAP_THRESHOLD_": str(8 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""For glibc, others do not read them. What a page needs is freed and asked for again with the next one; given back to
the system in between, it must be cleared each time: an eighth of the processor time."""


class Nursery:
    """Starts children and tells how they ended. Starts itself when the first is asked for."""

    def __init__(self, extraction: str) -> None:
        self._extraction = extraction
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`

    def fork(self, incoming: int, outgoing: int, errors: int, state: int) -> int:
        """A new child on these file descriptors; returns its process id.

        Raises:
            NightshiftError: the process that forks did not start, or has ended.
        """
        return self._ask(-1, (incoming, outgoing, errors, state))

    def wait(self, pid: int, *, kill: bool) -> int:
        """Wait for the end of a child; returns its exit code, negative for a signal."""
        if kill:
            # Nobody reaps it before it is asked for here, so the number cannot mean another process.
            os.kill(pid, signal.SIGKILL)
        return self._ask(pid, ())

    def close(self) -> None:
        """End the process that forks; children see the end of their input."""
        with self._lock:
            if self._requests:
                self._requests.close()
            if self._process:
                self._process.kill()
                self._process.wait()
            self._errors.close()

    def _ask(self, number: int, pipes: Sequence[int]) -> int:
        with self._lock:
            if self._requests is None:
                self._requests = self._start()
            try:
                socket.send_fds(self._requests, [NUMBER.pack(number)], pipes)
                answer = self._requests.recv(NUMBER.size)
            except OSError:
                answer = b""
            if not answer:
                raise NightshiftError(
                    f"the process that parses pages ended: {tail(self._errors)}; "
                    "is the installation complete, and is there memory left on this machine?"
                )
            return int(NUMBER.unpack(answer)[0])

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tasks.cleaning.worker", str(theirs.fileno()), self._extraction],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
            )
        return ours


def tail(errors: IO[bytes]) -> str:
    """The end of what a process wrote to its standard error."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - 2000))
    return errors.read().decode("utf-8", "replace").strip()


def _environment() -> dict[str, str]:
    """This process's, with this very package importable, one thread, and the plain allocator."""
    here = str(Path(tasks.__file__).parents[1])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    # Other allocators, and a buffer for each of many threads, map gigabytes that nobody uses; the limit on
    # mapped memory would count them. And only a process with one thread may fork.
    plain = {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**os.environ, **plain, **_KEEP_FREED, "PYTHONPATH": path}
