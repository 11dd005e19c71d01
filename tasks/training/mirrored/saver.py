"""Checkpoints written beside the training: a slow store never stalls a step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tasks.errors import NightshiftError, StoreError
from tasks.training.mirrored.checkpoint import Checkpoint, Checkpoints
from tasks.training.mirrored.patience import SECONDS, patiently

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class Saver:
    """Takes checkpoints from the training thread and stores them from another; the newest wins.

    A checkpoint that cannot be stored is dropped with a warning: the next one is as good.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        keep: int,
        saved: Callable[[int, str], None],
        log: FilteringBoundLogger,
    ) -> None:
        """``saved`` is told step and key of each one stored, on the other thread."""
        self._checkpoints = checkpoints
        self._keep = keep
        self._saved = saved
        self._log = log
        self._news = threading.Condition()
        self._next: Checkpoint | None = None
        self._writing = False
        self.newest: int | None = None
        """Step of the newest one on the store."""
        threading.Thread(target=self._run, name="checkpoints", daemon=True).start()

    @property
    def idle(self) -> bool:
        """Whether every checkpoint that was given is stored or dropped."""
        with self._news:
            return not self._writing and self._next is None

    def submit(self, checkpoint: Checkpoint) -> None:
        """Store this one as soon as may be; one that still waits is replaced."""
        with self._news:
            self._next = checkpoint
            self._news.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until every checkpoint that was given is stored or dropped; False if that takes longer."""
        with self._news:
            return self._news.wait_for(lambda: not self._writing and self._next is None, seconds)

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._next is not None)
                checkpoint, self._next, self._writing = self._next, None, True
            assert checkpoint is not None
            try:
                self._store(checkpoint)
            except NightshiftError as error:
                self._log.warning("a checkpoint was dropped", step=checkpoint.state.step, error=str(error))
            finally:
                with self._news:
                    self._writing = False
                    self._news.notify_all()

    def _store(self, checkpoint: Checkpoint) -> None:
        started, step = time.monotonic(), checkpoint.state.step
        key = patiently(
            lambda: self._checkpoints.write(checkpoint),
            self._log,
            f"storing the checkpoint of step {step}",
            seconds=SECONDS,
            given_up=lambda: self._next is not None,
        )
        self.newest = step
        self._log.info("checkpoint", step=step, key=key, seconds=round(time.monotonic() - started, 3))
        self._saved(step, key)
        try:
            self._checkpoints.prune(self._keep)
        except StoreError as error:
            self._log.warning("old checkpoints stay for now", error=str(error))
