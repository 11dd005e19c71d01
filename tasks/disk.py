"""What a step says when a disk of this machine is full."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from tasks.errors import DiskFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_LITTLE = 1 << 20
"""Bytes. numpy and Arrow tell of a write that fell short without saying why: then the disk is asked."""


def disk_full(error: BaseException) -> DiskFull | None:
    """The error of a step as one that names the full disk; None if it is of another kind."""
    scratch = _scratch()
    named = getattr(error, "filename", None)
    place = Path(os.fsdecode(named)).parent if isinstance(named, (str, bytes)) else scratch
    if isinstance(error, sqlite3.OperationalError):
        full = "disk is full" in str(error)
    else:
        full = isinstance(error, OSError) and (
            error.errno in _FULL or (error.errno is None and _free(scratch) < _LITTLE)
        )
    if not full:
        return None
    return DiskFull(
        f"no room is left on the disk of {place} ({_free(place) / 1e6:,.1f} MB free): {error}. What this attempt "
        "wrote there is removed, and nothing is committed: make room, or set TMPDIR to another disk, and run it again"
    )


def _scratch() -> Path:
    try:
        return Path(os.environ.get("TMPDIR") or tempfile.gettempdir())
    except FileNotFoundError:  # not one of the usual folders takes a byte
        return Path("/tmp")


def _free(place: Path) -> int:
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return 0
