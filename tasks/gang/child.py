"""The supervisor's end of its child: start it, hear it, give it orders, see it dead with all that it started."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tasks.gang import tree
from tasks.gang.wire import Wire

_PATIENCE = 10.0


class Child:
    """One running child, in a process group of its own; its standard error is the supervisor's.

    ``heard`` gets each event; ``garbled`` is told when it sends what is none.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        selector: selectors.BaseSelector,
        heard: Callable[[dict[str, Any]], None],
        garbled: Callable[[str], None],
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=theirs.fileno(), env=dict(environment), process_group=0
            )
        self._wire = Wire(selector, ours, heard, lambda why: garbled(why) if self._wire.garbled else None)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Negative: killed by that signal. None: it runs, or nobody has seen it dead."""
        return self._process.returncode

    @property
    def stopped(self) -> bool:
        """Whether somebody stopped it (SIGSTOP)."""
        return self.exit_code is None and tree.state(self.pid) == "T"

    def order(self, order: str, **fields: Any) -> None:
        """Give an order; a child that is gone does not hear it."""
        self._wire.send({"order": order, **fields})

    def ask_where(self) -> None:
        """Have it write the stack of each of its threads to the log."""
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGUSR1)

    def gone(self) -> int:
        """The exit code of a child that ``tree.reap`` saw dead, after all that it said was heard."""
        self._wire.drain()
        return self.kill()

    def kill(self) -> int:
        """End it and what it started, now; returns its exit code. Idempotent."""
        if self._process.returncode is None:
            tree.kill_group(self.pid)
            with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in the kernel
                self._process.wait(_PATIENCE)
        self._wire.close()
        return -signal.SIGKILL if self._process.returncode is None else self._process.returncode
