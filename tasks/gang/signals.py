"""Signals as something that a selector's loop hears: nothing is done in a handler."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def heard(selector: selectors.BaseSelector, by: Callable[[set[int]], None], *numbers: int) -> Iterator[None]:
    """While this lasts, ``by`` is called from the loop with the signals that came, as Python's process 1 too (which
    the kernel spares every signal that it has no handler for). Only in the main thread."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, _leave_it_to_the_pipe) for number in numbers}
    fd = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    selector.register(reader, selectors.EVENT_READ, lambda mask: by(set(os.read(reader, 4096))))
    try:
        yield
    finally:
        selector.unregister(reader)
        signal.set_wakeup_fd(fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _leave_it_to_the_pipe(number: int, frame: FrameType | None) -> None:
    pass
