"""One fault carried out: a training struck down, started again as Airflow does, and compared with a whole one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.faults.attempt import POLL, Attempt
from tests.faults.fault import CorruptNewest, Fault, Moment, StoreDown, Strike, Workers
from tests.faults.ground import Place
from tests.faults.outcome import Outcome, corrupt_newest
from tests.faults.processes import strike

RETRIES = 3
NEVER_RETRIED = (2, 3)
ALL_ENDED = 60.0
"""Seconds within which every process must be gone, whatever died."""
BETWEEN_CHECKPOINTS = 0.6
"""Seconds after a checkpoint, of the one between two."""
CLOSE = 1e-5
"""The largest difference of a weight after a change of the number of workers: sums of floats in another order."""
_WRITES = {"in checkpoint": (r"^PUT \S+/checkpoints/\S+\.safetensors", 1), "in export": (r"^PUT \S+/parts/", 0)}


@dataclass(slots=True)
class Row:
    """What became of one fault; times in seconds."""

    name: str
    moment: Moment
    where: str = "local"
    exits: list[int] = field(default_factory=list)
    said: str = ""
    """The error of the struck generation."""
    detected: float | None = None
    """From the fault until the last process of the struck generation was gone."""
    resumed_from: int | None = None
    lost_steps: int | None = None
    recovered: float | None = None
    """From the fault until the next generation's first step."""
    orphans: int = 0
    same: bool | None = None
    distance: float | None = None
    accuracy: float | None = None
    accuracy_undisturbed: float | None = None
    seconds: float = 0.0
    measured: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    """The day."""
    wrong: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.wrong

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed}


def undisturbed(place: Place, workers: int = 2) -> Outcome:
    """Train without a fault."""
    attempt = Attempt(place, workers)
    with _cleared(attempt):
        code = attempt.finish()
        assert code == 0, f"the undisturbed training ended with {code}: {attempt.error}\n{attempt.tail()}"
        assert not attempt.orphans()
    return Outcome.of(place)


def carry_out(fault: Fault, place: Place, whole: Outcome) -> Row:
    """Do it, and find out whether it ended as it must."""
    row, began = Row(fault.name, fault.moment), time.monotonic()
    workers, struck = fault.workers, 0.0
    attempt = Attempt(place, workers)
    with _cleared(attempt):
        struck = _inflict(fault, attempt, place)
        at_step = _reached(attempt, struck)
        _end(attempt, row, struck)
    if fault.exits or row.exits != [0]:
        row.said = attempt.error or f"killed by signal {-row.exits[0]}"
        _expect(row, row.exits[0] in fault.exits, f"the struck generation ended with {row.exits[0]}: {row.said}")
        _expect(row, (row.detected or 0) <= ALL_ENDED, f"it took {row.detected} s until all had ended")
    else:
        row.detected = None
    if isinstance(fault.what, CorruptNewest):
        row.said += f"; corrupted {corrupt_newest(place).rpartition('/')[2]}"
    if isinstance(fault.what, Workers):
        workers = fault.what.then
    while row.exits[-1] not in (0, *NEVER_RETRIED) and len(row.exits) <= RETRIES:
        attempt = Attempt(place, workers)
        with _cleared(attempt):
            _end(attempt, row, None)
        if row.resumed_from is None and attempt.resumed_from is not None:
            row.resumed_from = attempt.resumed_from
            row.lost_steps = max(at_step - attempt.resumed_from, 0)
            first = attempt.stepped(attempt.resumed_from) or attempt.ended  # there may be no step left to make
            row.recovered = round(first - struck, 1) if first else None
    _expect(row, row.exits[-1] == 0, f"it never ended well: {row.exits}; {attempt.error}\n{attempt.tail()}")
    if fault.exits and fault.resumes:
        _expect(row, (row.resumed_from or 0) > 0, f"it began again from step {row.resumed_from}")
    _expect(row, row.orphans == 0, f"{row.orphans} processes were left")
    if row.exits[-1] == 0:
        _compare(row, fault, Outcome.of(place), whole)
    row.seconds = round(time.monotonic() - began, 1)
    return row


def _inflict(fault: Fault, attempt: Attempt, place: Place) -> float:
    """Wait for the moment and do it; returns when it was done."""
    what = fault.what
    with contextlib.ExitStack() as held:
        _await(fault.moment, attempt, place, held)
        if isinstance(what, StoreDown):
            at = time.monotonic()
            place.ground.stop()
            attempt.wait(lambda: time.monotonic() - at >= what.seconds, "the store to come back")
            place.ground.start()
            return at
        blow = what if isinstance(what, Strike) else what.after
        pid = attempt.process(blow.role, blow.worker)
        assert pid, f"worker {blow.worker} has no {blow.role} to strike\n{attempt.tail()}"
        at = time.monotonic()
        strike(pid, blow.number)
        if fault.exits:  # what is held stays held until the gang has noticed: the stricken must not get on
            attempt.wait(lambda: False, "the end of the struck generation")
        return at


def _await(moment: Moment, attempt: Attempt, place: Place, held: contextlib.ExitStack) -> None:
    """Wait for the moment; a write that it is in is held as long as ``held`` is open."""
    if moment == "start-up":
        came = attempt.wait(lambda: attempt.started, "the training processes to start")
    elif moment == "mid-epoch":
        came = attempt.wait(lambda: len(attempt.saved) >= 2, "two checkpoints")
        due = attempt.saved[1].at + BETWEEN_CHECKPOINTS if came else 0.0
        came = came and attempt.wait(lambda: time.monotonic() >= due, "the middle between two checkpoints")
    else:
        pattern, skip = _WRITES[moment]
        hold = held.enter_context(place.ground.turnstile.holding(pattern, skip))
        came = attempt.wait(hold.reached.is_set, f"a write {moment}")
    assert came, f"the training ended before it was {moment}\n{attempt.tail()}"


def _reached(attempt: Attempt, at: float) -> int:
    """About the step that the gang was at: the last ones that it reported, gone on with at their pace."""
    known = [(said.at, said.step) for said in attempt.said if said.step is not None and said.at <= at]
    if len(known) < 2 or known[-1][0] == known[0][0]:
        return known[-1][1] if known else 0
    (first_at, first), (last_at, last) = known[0], known[-1]
    return round(last + (at - last_at) * (last - first) / (last_at - first_at))


def _end(attempt: Attempt, row: Row, struck: float | None) -> None:
    """See the generation end, and what it leaves."""
    code = attempt.finish()
    row.exits.append(code)
    if code < 0:  # what started the workers is itself dead: they have to notice
        deadline = time.monotonic() + ALL_ENDED
        while attempt.orphans() and time.monotonic() < deadline:
            time.sleep(POLL)
    left = attempt.orphans()
    row.orphans += len(left)
    row.wrong += [f"left over: {each}" for each in left]
    if struck is not None:
        row.detected = round(time.monotonic() - struck, 1)


def _compare(row: Row, fault: Fault, outcome: Outcome, whole: Outcome) -> None:
    row.same = outcome.checksums == whole.checksums
    row.distance = outcome.distance(whole)
    row.accuracy, row.accuracy_undisturbed = outcome.accuracy, whole.accuracy
    if fault.end == "same weights":
        _expect(row, row.same, f"the weights are not those of the undisturbed training: {row.distance:.2g} apart")
    else:
        _expect(row, row.distance <= CLOSE, f"the weights are {row.distance:.2g} apart, more than {CLOSE}")


def _expect(row: Row, true: bool, otherwise: str) -> None:
    if not true:
        row.wrong.append(otherwise)


@contextlib.contextmanager
def _cleared(attempt: Attempt) -> Iterator[None]:
    """Leave no process behind when the harness itself fails."""
    try:
        yield
    finally:
        attempt.kill()
