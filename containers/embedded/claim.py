"""Who runs the stack in a folder: one process and no other, for as long as any of its servers lives."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from tasks.errors import NightshiftError

PATIENCE = 20.0
"""Seconds that the servers of a process that was killed are given to end."""


class Claim:
    """A lock on ``<home>/claim``. The kernel lets go of it with the last process that inherited it."""

    def __init__(self, home: Path) -> None:
        self._path = home / "claim"
        self._file: int | None = None

    def take(self) -> int:
        """Take the claim; returns the file descriptor that holds it.

        Raises:
            NightshiftError: another process has it, and it lives.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        end = time.monotonic() + PATIENCE
        while not _locked(file):
            holder = _holder(file)
            if holder is not None or time.monotonic() > end:
                os.close(file)
                raise NightshiftError(
                    f"the stack in {self._path.parent} is run by process {holder or 'unknown'} already: "
                    "use that one, or end it with `make down`"
                )
            time.sleep(0.1)
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file
        return file

    def leave(self) -> None:
        """Give the claim back, if it was taken."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def is_free(self) -> bool:
        """Whether nothing of a stack runs here."""
        with suppress(FileNotFoundError):
            file = os.open(self._path, os.O_RDWR)
            try:
                return _locked(file)
            finally:
                os.close(file)
        return True

    def holder(self) -> int | None:
        """The process that runs the stack here, or None: nothing runs, or only servers that are about to end."""
        with suppress(FileNotFoundError):
            file = os.open(self._path, os.O_RDWR)
            try:
                return None if _locked(file) else _holder(file)
            finally:
                os.close(file)
        return None


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: int) -> int | None:
    """The living process that wrote its number into the file."""
    with suppress(ValueError, ProcessLookupError, PermissionError):
        pid = int(os.pread(file, 20, 0))
        os.kill(pid, 0)
        return pid
    return None
