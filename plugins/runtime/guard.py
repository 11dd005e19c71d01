"""Stands between Airflow's task process and a step, so that no step outlives its task.

Run as a script, by path: ``python -I -S guard.py COMMAND...``. It runs the command in a process group of its own
and ends with the command's exit code (128 + n for signal n). When standard input reaches its end (Airflow's task
process died, however suddenly, or wants the command gone) or on SIGTERM, it ends the whole group: SIGTERM, and
SIGKILL after ``NIGHTSHIFT_KILL_GRACE`` seconds. Whatever the command started and left running, in groups and
sessions of its own too, is killed before the guard ends. Standard library only: it starts in some 20 ms.
A variable that holds no seconds counts as unset, and is said: a guard that failed by it would let the tree live.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

GRACE = 10.0
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main(command: list[str]) -> int:
    """Run ``command`` to its end, or until it must go; leaves nothing of its process tree behind."""
    grace = _grace()
    signals, wake = os.pipe()
    os.set_blocking(wake, False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # the wake-up pipe is told; nothing is done in a handler
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None:
        # Descendants whose parent dies become our children, so that none can slip out of the tree.
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)

    def die_with_guard() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    child = subprocess.Popen(  # preexec_fn is safe here: this process has one thread
        command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=die_with_guard
    )
    deadline: float | None = None
    while not _ended(child):
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([signals] if deadline is not None else [0, signals], [], [], wait)
        told = os.read(signals, 512) if signals in ready else b""
        if deadline is None and ((0 in ready and not os.read(0, 512)) or signal.SIGTERM in told):
            os.killpg(child.pid, signal.SIGTERM)
            deadline = time.monotonic() + grace
        elif deadline is not None and time.monotonic() >= deadline:
            os.killpg(child.pid, signal.SIGKILL)
            deadline = time.monotonic() + GRACE
    # Whatever the command left running goes before its id can be reused, hence before it is reaped.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    if libc is not None:
        _end_orphans()
    return code if code >= 0 else 128 - code


def _grace() -> float:
    given = os.environ.get("NIGHTSHIFT_KILL_GRACE")
    try:
        grace = float(given or GRACE)
    except ValueError:
        grace = -1.0
    if 0 <= grace < float("inf"):
        return grace
    print(f"level=warning NIGHTSHIFT_KILL_GRACE={given!r}: expected seconds; taking {GRACE:g}", file=sys.stderr)
    return GRACE


def _ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether the command ended; orphans that ended meanwhile are laid to rest."""
    while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
        if ended.si_pid == child.pid:
            return True
        os.waitpid(ended.si_pid, 0)
    return False


def _end_orphans() -> None:
    """Kill what is left of the tree: a killed process leaves its own children to us, until there are none."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in _children():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def _children() -> list[int]:
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208  # pathlib takes as long to import as the rest of this file
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as stat:  # noqa: PTH123
                if int(stat.read().rpartition(b")")[2].split()[1]) == os.getpid():
                    found.append(int(entry))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
