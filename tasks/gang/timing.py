"""After how long what counts as lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.config.resources import Watchdogs


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds. The first three come from the YAML; the sum of the others that one death can need is under 60."""

    rendezvous: float = 300.0
    """From the start of a supervisor until every worker has come."""
    startup: float = 300.0
    """From then until every worker's first step."""
    step: float = 60.0
    """From one sign of progress of any worker to the next."""
    beat: float = 2.0
    """Between two heartbeats."""
    silence: float = 20.0
    """A supervisor that was not heard for so long is lost."""
    stopped: float = 10.0
    """A child that was stopped (SIGSTOP) for so long is lost."""
    settle: float = 10.0
    """An error that only says that a peer is gone waits so long for one that says why."""
    port: float = 10.0
    """A port that something else holds may come free: the last generation may be ending."""
    hello: float = 5.0
    """Who connects must have said who it is."""
    grace: float = 45.0
    """A worker that was told to leave must have made its checkpoint."""
    farewell: float = 5.0
    """For last words, and for a child to end by itself."""

    @classmethod
    def of(cls, watchdogs: Watchdogs) -> Timing:
        """As the YAML's ``resources.watchdogs`` say."""
        return cls(
            rendezvous=watchdogs.rendezvous.total_seconds(),
            startup=watchdogs.startup.total_seconds(),
            step=watchdogs.step.total_seconds(),
        )
