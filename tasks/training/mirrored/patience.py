"""Waiting out a store that is down, without being taken for a worker that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from tasks.errors import NotFound, StoreError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from tasks.gang.line import ChildEnd

T = TypeVar("T")

SECONDS = 300.0
"""How long a store may be down before whoever needs it gives up."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0
_TICK = 5.0
_LONGEST_WORK = 1800.0


def patiently(
    action: Callable[[], T],
    log: FilteringBoundLogger,
    what: str,
    *,
    seconds: float = SECONDS,
    given_up: Callable[[], bool] = lambda: False,
) -> T:
    """What ``action`` returns, tried again with growing pauses while the store fails.

    Raises:
        StoreError: it still fails after ``seconds``, or ``given_up`` says that nobody needs it any more.
    """
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        try:
            return action()
        except NotFound:
            raise
        except StoreError as error:
            left = deadline - time.monotonic()
            if left <= 0 or given_up():
                raise
            log.warning(f"the store failed at {what}: trying again", error=str(error), gives_up_in=round(left))
            time.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)


@contextmanager
def busy(end: ChildEnd, doing: str) -> Iterator[None]:
    """Tell the supervisor every few seconds that this worker is at long work of its own, not in a step.

    Only for work whose own calls end: after half an hour the watchdog may think what it likes.
    """
    finished = threading.Event()

    def tick() -> None:
        started = time.monotonic()
        while not finished.wait(_TICK) and time.monotonic() - started < _LONGEST_WORK:
            end.report("alive", doing=doing)

    end.report("alive", doing=doing)
    thread = threading.Thread(target=tick, name=f"busy with {doing}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
