"""The stack in the background: what ``make up`` leaves running and ``make down`` ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from containers.embedded.claim import Claim
from containers.embedded.stack import Stack, is_ready
from tasks.errors import NightshiftError

LOG = "logs/stack.log"
PATIENCE = 300.0


def serve(home: Path) -> None:
    """Hold the stack up until SIGTERM or Ctrl-C."""
    with Stack(home):
        signal.pause()


def up(home: Path) -> Stack:
    """The stack that runs in ``home``; it is started in the background if there is none.

    Raises:
        NightshiftError: it did not start; with what it said.
    """
    claim = Claim(home)
    if claim.holder() is None:
        (home / LOG).parent.mkdir(parents=True, exist_ok=True)
        with (home / LOG).open("wb") as out:
            server = subprocess.Popen(
                [sys.executable, "-m", "containers.embedded", "serve", "--home", str(home)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
    else:
        server = None
    try:
        _await(home, claim, server)
    except BaseException:
        if server is not None:
            server.terminate()
            server.wait()
        raise
    return Stack(home)


def down(home: Path, patience: float = 60.0) -> bool:
    """End what runs in ``home``, whoever started it; False if nothing did.

    Raises:
        NightshiftError: something is left after ``patience`` seconds.
    """
    claim = Claim(home)
    if claim.is_free():
        return False
    holder = claim.holder()
    ended = _told_to_end(holder)
    end = time.monotonic() + patience
    # The claim is given back a moment before the process that held it is gone.
    while not (claim.is_free() and ended()):
        if time.monotonic() > end:
            raise NightshiftError(
                f"the stack of process {holder} has not ended after {patience:.0f} s: see {home}/logs"
            )
        time.sleep(0.1)
    return True


def _told_to_end(process: int | None) -> Callable[[], bool]:
    """Send a process SIGTERM; returns what tells whether it has ended, its number taken by another or not."""
    if process is None:
        return lambda: True
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return lambda: True
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGTERM)
    return lambda: bool(select.select([handle], [], [], 0)[0])


def _await(home: Path, claim: Claim, server: subprocess.Popen[bytes] | None) -> None:
    end = time.monotonic() + PATIENCE
    while not (is_ready(home) and claim.holder() is not None):
        if server is not None and server.poll() is not None:
            raise NightshiftError(f"the stack did not start: {(home / LOG).read_text(errors='replace').strip()}")
        if server is None and claim.holder() is None:
            raise NightshiftError("the stack that ran here has just ended; start it again")
        if time.monotonic() > end:
            raise NightshiftError(f"the stack is not ready after {PATIENCE:.0f} s; see {home / LOG}")
        time.sleep(0.1)
