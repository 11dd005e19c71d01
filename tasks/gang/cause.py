"""Why a gang ends: who, what, and the error that every worker then raises."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tasks.errors import NightshiftError, PeerLost, Preempted, error_named

_PEER_LOST = ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError")
"""TensorFlow's own names for another worker's death."""
_COLLECTIVE = "Collective ops is aborted"
"""What it says of that under any name."""


@dataclass(frozen=True, slots=True)
class Cause:
    """``type`` is the name of an exception; ``hearsay`` when it may only be the echo of another worker's death;
    ``hang`` when nobody knows yet where a child is, so that it is asked before it is killed."""

    worker: int
    type: str
    message: str
    hearsay: bool = False
    hang: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Cause:
        return cls(**value)

    def error(self) -> NightshiftError:
        """The exception: of the named type where it is one of ``tasks.errors``, whose exit code says what follows."""
        return (error_named(self.type) or NightshiftError)(self.message)


def lost(worker: int, what: str, *, hearsay: bool = False) -> Cause:
    """``worker`` is lost: every worker ends, and the gang is started again."""
    return Cause(worker, PeerLost.__name__, f"worker {worker} is lost: {what}", hearsay)


def preempted(worker: int, what: str) -> Cause:
    """``worker`` was told to leave, and left in order."""
    return Cause(worker, Preempted.__name__, f"worker {worker} was told to leave (SIGTERM): {what}")


def failed(worker: int, event: Mapping[str, Any]) -> Cause:
    """The ``error`` event of ``worker``'s child."""
    name, message = str(event.get("type")), str(event.get("message"))
    known = error_named(name) is not None
    said = f"worker {worker}: {message if known else f'{name}: {message}'}"
    if name in _PEER_LOST or _COLLECTIVE in message:
        name = PeerLost.__name__
    return Cause(worker, name, said, hearsay=name == PeerLost.__name__)


def ended(worker: int, code: int) -> Cause:
    """``worker``'s child ended with ``code`` (negative: by that signal) and without a word."""
    if code >= 0:
        return lost(worker, f"its training process ended with exit code {code} and said nothing; its log says more")
    number = -code
    name = signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"
    why = " (out of memory, or kill -9)" if number == signal.SIGKILL else ""
    # TensorFlow aborts a process whose peers are gone.
    return lost(worker, f"its training process was killed by {name}{why}", hearsay=number == signal.SIGABRT)
