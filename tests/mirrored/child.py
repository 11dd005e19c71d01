"""The worker's own main, with the recipe ``tiny`` and a store that fails while a file says so.

``FAULTS`` names a folder. While it has a file ``down``, every call of the store fails. While it has a file
``hold``, a write or upload of a key that contains its text waits, and says so with a file ``holding``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from tasks import cli, command
from tasks.errors import StoreError
from tasks.gang.line import leave
from tasks.store import Store, open_store
from tests.mirrored import recipe  # noqa: F401  # registers itself

_CALLS = ("stat", "list", "open", "write", "create", "upload", "copy", "delete", "read", "download", "sha256")


class Faulty:
    """A store whose calls fail or wait as the folder says."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if name not in _CALLS:
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            if (self._folder / "down").exists():
                raise StoreError(f"{name}: the test took the store down")
            hold = self._folder / "hold"
            while (
                name in ("write", "upload")
                and hold.exists()
                and hold.read_text() in str(arguments[-1 if name == "upload" else 0])
            ):
                (self._folder / "holding").touch()
                time.sleep(0.01)
            return value(*arguments, **options)

        return call


def main() -> None:
    """The worker's main, or any step of ``nightshift``, on a store that may fail."""
    from tasks.training.mirrored import patience

    if "FAULTS" in os.environ:
        folder = Path(os.environ["FAULTS"])
        patience._LONGEST_PAUSE = 0.2
        _expect_no_last_checkpoint()
        command.open_store = lambda url, env: Faulty(open_store(url, env), folder)  # type: ignore[assignment,return-value]
    if sys.argv[1].startswith("--"):
        from tasks.training.mirrored import worker

        worker.main()
    try:
        cli.main()
    except SystemExit as end:  # a fork's own end would look through all that TensorFlow left
        leave(int(end.code or 0))


def _expect_no_last_checkpoint() -> None:
    """The store is down for good as far as the last checkpoint is concerned: the export must not wait for it."""
    from tasks.training.mirrored import loop

    loop._LAST_CHECKPOINT = 2.0


if __name__ == "__main__":
    main()
