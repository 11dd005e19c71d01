"""Children that need not import TensorFlow: one process does it once, and each worker is a fork of it.

Importing costs ten seconds of processor time, more than all that a worker of these tests does. Nothing of
TensorFlow runs before the fork. How a worker really starts is tested with ``nightshift train``.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

_MESSAGE = 1 << 16


class Fork:
    """One forked worker, as far as ``subprocess.Popen`` is like it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line.makefile("rb")
        self.pid = int(self._line.readline())
        self._code: int | None = None
        self._over = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        self._code = int(self._line.readline() or -signal.SIGKILL)
        self._over.set()

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; negative: killed by that signal."""
        assert self._over.wait(timeout), f"process {self.pid} still runs"
        assert self._code is not None
        return self._code

    def send_signal(self, number: int) -> None:
        if not self._over.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that others are forked from."""

    def __init__(self, address: str) -> None:
        self._address = address

    def start(self, arguments: list[str], env: dict[str, str], orders: int, events: int, log: int) -> Fork:
        """A worker with these command line arguments, environment and streams."""
        line = socket.socket(socket.AF_UNIX)
        line.connect(self._address)
        socket.send_fds(line, [json.dumps({"arguments": arguments, "env": env}).encode()], [orders, events, log])
        return Fork(line)


@contextlib.contextmanager
def nursery() -> Iterator[Nursery]:
    """A running one: of its own, or that of ``NURSERY``, for whoever runs these tests over and over."""
    if "NURSERY" in os.environ:
        yield Nursery(os.environ["NURSERY"])
        return
    with tempfile.TemporaryDirectory(prefix="nursery-") as folder:
        address = f"{folder}/line"
        process = subprocess.Popen([sys.executable, "-m", "tests.mirrored.nursery", address], stdout=subprocess.PIPE)
        try:
            assert process.stdout
            assert process.stdout.readline() == b"listening\n"
            yield Nursery(address)
        finally:
            process.kill()
            process.wait()


def _serve(address: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    for library in ("keras", "pydantic", "safetensors.numpy", "structlog", "tensorflow"):
        importlib.import_module(library)
    gc.freeze()  # else a fork's first collections write to, and so copy, all that TensorFlow is made of
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen()
        print("listening", flush=True)
        while True:
            line, _ = door.accept()
            if os.fork() == 0:
                door.close()
                _keep(line)
            line.close()


def _keep(line: socket.socket) -> None:
    """Start one worker and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, streams, _, _ = socket.recv_fds(line, _MESSAGE, 3)
    pid = os.fork()
    if pid == 0:
        line.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        given = json.loads(data)
        os.environ.clear()
        os.environ.update(given["env"])
        sys.argv = ["worker", *given["arguments"]]
        from tests.mirrored.child import main

        main()
    for stream in streams:
        os.close(stream)
    line.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):
        line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    _serve(str(Path(sys.argv[1])))
