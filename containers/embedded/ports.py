"""Ports on loopback: the wished one where it is free, else any free one."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below the ports that systems give to outgoing connections: any connection of any process could take one of those
# between the moment it is chosen and the moment its server listens.
RANGE = range(12_000, 30_000)

# What this process gave away: a port is free until its server listens, and would be given twice.
_given: set[int] = set()
# By process, for a fork has the descriptor but not the locks.
_lists: dict[int, int] = {}


def is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of loopback now."""
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def pick(wished: int | None = None) -> int:
    """``wished`` if it is free, else a free port that this process was not given before.

    No other process of this user is given it while this one lives, so that of two stacks that start at the same
    moment neither takes the other's servers for its own.

    Raises:
        OSError: no port of ``RANGE`` is left.
    """
    candidates = [wished] if wished else []
    candidates += random.sample(RANGE, len(RANGE))
    for port in candidates:
        if (port == wished or port not in _given) and is_free(port) and _claim(port):
            _given.add(port)
            return port
    raise OSError(f"no free port between {RANGE.start} and {RANGE.stop - 1} on {LOOPBACK}")


def pick_many(count: int) -> list[int]:
    """``count`` different free ports, see ``pick``."""
    return [pick() for _ in range(count)]


def hand_on(ports: Iterable[int]) -> list[int]:
    """Let another process, which is told of these ports, pick them; returns them."""
    handed = list(ports)
    for port in handed:
        fcntl.lockf(_list(), fcntl.LOCK_UN, 1, port)
    return handed


def _claim(port: int) -> bool:
    """Lock the byte of the list that stands for ``port``; the kernel lets go of it when this process ends."""
    try:
        fcntl.lockf(_list(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _list() -> int:
    if os.getpid() not in _lists:
        path = Path(tempfile.gettempdir()) / f"nightshift-ports-{os.getuid()}"
        _lists[os.getpid()] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return _lists[os.getpid()]
