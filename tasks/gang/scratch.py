"""A folder for what a training keeps on this machine while it lasts, gone with whoever made it, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PREFIX = "nightshift-training-"


@contextmanager
def scratch(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment of processes whose temporary files all lie in a folder that is deleted when this ends.

    Its owner holds a lock on it, which the kernel lets go when that is killed: the next one to come deletes it.
    """
    parent = Path(environment.get("TMPDIR") or tempfile.gettempdir())
    _sweep(parent)
    folder, lock = _make(parent)
    try:
        yield {**environment, "TMPDIR": str(folder)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)  # a sweep came between


def _sweep(parent: Path) -> None:
    """Delete what killed ones left; others' folders are theirs."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
