"""Processes that must not outlive the one who is answerable for them; of this process's whole tree."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: not between fork and exec


def adopt_orphans() -> None:
    """Make descendants whose parent dies children of this process, so that none slips out of the tree."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def reap(own: int) -> bool:
    """Lay ended orphans to rest; True when the child ``own`` has ended, which is left for its own ``wait``.

    As process 1 of a container, or as an adopter of orphans, this process must: nobody else does.
    """
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid == own:
                return True
            os.waitpid(ended.si_pid, 0)
    return False


def kill_group(pid: int) -> None:
    """SIGKILL to the process group of ``pid``; the caller has not reaped ``pid``, so that the number is still its."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def end_orphans(patience: float = 10.0) -> None:
    """Kill every child of this process: a killed one leaves its own children to us, until there are none.

    One that hangs in the kernel is left to it after ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    while (pids := list(_children())) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                    time.sleep(0.005)


def state(pid: int) -> str:
    """The kernel's letter for what a process does, ``T`` when it is stopped; empty where that is not known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def _children() -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid():
                yield int(entry.name)
