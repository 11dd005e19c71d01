"""A fault as data, and the matrix of them."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Literal

from tests.faults.ground import LONG, QUICK, Size
from tests.faults.processes import Role

Moment = Literal["start-up", "mid-epoch", "in checkpoint", "in export"]
End = Literal["same weights", "close weights"]


@dataclass(frozen=True, slots=True)
class Strike:
    """A signal to one process of a generation."""

    number: signal.Signals
    worker: int
    role: Role = "child"


@dataclass(frozen=True, slots=True)
class StoreDown:
    """The store's server is gone for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CorruptNewest:
    """A byte of the newest checkpoint is another one, after the gang was lost and before it starts again."""

    after: Strike


@dataclass(frozen=True, slots=True)
class Workers:
    """The gang is started again with another number of workers."""

    after: Strike
    then: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the matrix: what happens, when, and what must come of it.

    ``exits``: the exit codes with which the struck generation may end; empty where it must go on as if nothing
    had been.
    """

    name: str
    moment: Moment
    what: Strike | StoreDown | CorruptNewest | Workers
    exits: tuple[int, ...] = (75,)
    end: End = "same weights"
    workers: int = 2
    size: Size = field(default=QUICK)
    resumes: bool = True
    """Whether the next generation must begin after step 0."""


_KILL, _STOP, _TERM = signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM


_NAMES: dict[Role, str] = {"child": "training process", "supervisor": "supervisor"}
_EACH: tuple[tuple[int, Role], ...] = ((0, "child"), (1, "child"), (0, "supervisor"), (1, "supervisor"))


def _kills(moment: Moment) -> list[Fault]:
    return [
        Fault(
            f"kill -9 of worker {worker}'s {_NAMES[role]}",
            moment,
            Strike(_KILL, worker, role),
            # Worker 0 exports; the training process of any other has nothing left to do, and is not missed.
            exits=() if moment == "in export" and (worker, role) == (1, "child") else (75,),
            resumes=moment != "start-up",
        )
        for worker, role in _EACH
    ]


FAULTS: tuple[Fault, ...] = (
    *_kills("mid-epoch"),
    # Nobody is left to give an exit code: what launched the gang sees the signal.
    Fault("kill -9 of what started the workers", "mid-epoch", Strike(_KILL, 0, "twin"), exits=(-9,)),
    *(
        Fault(
            f"SIGSTOP of worker {worker}'s {_NAMES[role]}",
            "mid-epoch",
            Strike(_STOP, worker, role),
            # The training goes on under a supervisor that sleeps: it must not be done before that is noticed.
            size=QUICK if role == "child" else LONG,
        )
        for worker, role in _EACH
    ),
    *(
        Fault(f"SIGTERM to worker {worker}", "mid-epoch", Strike(_TERM, worker, "supervisor"), exits=(77,))
        for worker in (0, 1)
    ),
    Fault("SIGTERM to the whole gang", "mid-epoch", Strike(_TERM, 0, "twin"), exits=(77,)),
    Fault("newest checkpoint corrupt", "mid-epoch", CorruptNewest(Strike(_KILL, 1))),
    Fault("store down for 60 s", "mid-epoch", StoreDown(60), exits=()),
    Fault("3 workers, then 2", "mid-epoch", Workers(Strike(_KILL, 2), 2), workers=3, end="close weights"),
    Fault("2 workers, then 3", "mid-epoch", Workers(Strike(_KILL, 1), 3), end="close weights"),
    *_kills("in checkpoint"),
    *_kills("in export"),
    *_kills("start-up"),
    Fault("SIGTERM to worker 1", "start-up", Strike(_TERM, 1, "supervisor"), exits=(77,), resumes=False),
)


def named(*wanted: tuple[str, Moment]) -> list[Fault]:
    """Faults of the matrix by name and moment.

    Raises:
        KeyError: there is none.
    """
    known = {(fault.name, fault.moment): fault for fault in FAULTS}
    return [known[each] for each in wanted]
