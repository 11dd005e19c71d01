"""The processes of one training, found by a mark in the environment that every descendant inherits."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MARK = "NIGHTSHIFT_TEST_MARK"

Role = Literal["twin", "supervisor", "child"]


@dataclass(frozen=True, slots=True)
class Found:
    """One live process of a training."""

    pid: int
    parent: int
    command: str

    @property
    def is_child(self) -> bool:
        """Whether it is a training process, which imports TensorFlow."""
        return "tasks.training.mirrored.worker" in self.command

    @property
    def worker(self) -> int | None:
        """Which worker's supervisor it is, if it is one."""
        found = re.search(r"--worker[ =](\d+)/\d+", self.command)
        return int(found[1]) if found and not self.is_child else None


def marked(mark: str) -> list[Found]:
    """Every live process that carries ``mark``, whoever its parent is by now."""
    needle, found = f"{MARK}={mark}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        # A process that ends while it is looked at is not there.
        with contextlib.suppress(OSError, IndexError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z" and needle in (entry / "environ").read_bytes().split(b"\0"):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found.append(Found(int(entry.name), int(parent), command))
    return found


def find(mark: str, role: Role, worker: int, twin: int) -> int | None:
    """The process of ``worker`` in that role, if it is there."""
    if role == "twin":
        return twin
    there = marked(mark)
    supervisor = next((each.pid for each in there if each.worker == worker), None)
    if role == "supervisor" or supervisor is None:
        return supervisor
    return next((each.pid for each in there if each.is_child and each.parent == supervisor), None)


def strike(pid: int, signal_number: int) -> None:
    """Send a signal to a process; nothing if it ended just now."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal_number)
