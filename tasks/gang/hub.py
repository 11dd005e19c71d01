"""The hub's judgement: when a gang starts, goes on and ends, and who is to blame. No sockets, no clock of its own.

Supervisors tell the hub (``kind``): ``beat``; ``event`` (what their child reported); ``fell`` (a ``Cause``);
``stopping`` (told to leave); ``preempted`` (left in order; ``entered``: after its first step was allowed).
The hub tells supervisors: ``beat``; ``start``; ``order`` (for their child); ``end`` (a ``Cause``, or the payload).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from tasks.errors import NightshiftError
from tasks.gang.cause import Cause, lost, preempted
from tasks.gang.peers import Peer
from tasks.gang.timing import Timing

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class Phase(IntEnum):
    """How far a worker has come."""

    AWAITED = 0
    MET = 1
    STARTED = 2
    READY = 3
    RESTORED = 4
    TRAINING = 5
    DONE = 6


_PHASES = {"ready": Phase.READY, "restored": Phase.RESTORED, "step": Phase.TRAINING, "done": Phase.DONE}
_DOING = {
    Phase.STARTED: "was starting",
    Phase.READY: "was restoring its checkpoint",
    Phase.RESTORED: "had restored its checkpoint and made no step yet",
}


@dataclass(slots=True)
class Member:
    """What the hub knows of one worker."""

    phase: Phase = Phase.AWAITED
    heard: float = 0.0
    """When its supervisor was last heard."""
    moved: float = 0.0
    """When its child last got anywhere."""
    doing: str = ""
    restoring: bool = False
    """Whether it was told what to restore."""
    restored: tuple[Any, Any] | None = None
    """Step and weight hash after the restore."""


@dataclass(frozen=True, slots=True)
class End:
    """How it ended: ``payload`` when all is done, else ``cause``."""

    payload: Mapping[str, Any] | None = None
    cause: Cause | None = None

    def message(self) -> dict[str, Any]:
        return {"kind": "end", "payload": self.payload, "cause": self.cause.to_json() if self.cause else None}

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> End:
        cause = message.get("cause")
        return cls(message.get("payload"), Cause.from_json(cause) if cause else None)


@dataclass(slots=True)
class Hub:
    """``send(worker, message)`` reaches a supervisor; ``now`` is monotonic seconds throughout."""

    peers: Sequence[Peer]
    timing: Timing
    send: Callable[[int, Mapping[str, Any]], None]
    log: FilteringBoundLogger
    began: float
    members: list[Member] = field(default_factory=list)
    end: End | None = None
    _started: float | None = None
    _gone: bool = False
    """Whether the first step was allowed."""
    _newest: tuple[Any] | None = None
    _suspect: tuple[Cause, float] | None = None
    _told: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.members = [Member() for _ in self.peers]

    def came(self, worker: int, now: float) -> None:
        """A worker of this gang is here; the last one starts it."""
        self.members[worker] = Member(Phase.MET, heard=now, moved=now)
        self.log.info("worker is here", peer=worker, of=len(self.members))
        if all(each.phase is Phase.MET for each in self.members):
            self._started = now
            for each in self.members:
                each.phase, each.moved = Phase.STARTED, now
            self.log.info("all workers are here", seconds=round(now - self.began, 1))
            self._all({"kind": "start"})

    def heard(self, worker: int, message: Mapping[str, Any], now: float) -> None:
        """A supervisor said something."""
        member = self.members[worker]
        member.heard = now
        match message.get("kind"):
            case "event":
                self._event(worker, member, message["event"], now)
            case "fell":
                self.fell(Cause.from_json(message["cause"]), now)
            case "stopping":
                self._told.append(worker)
                self.log.warning("worker was told to leave", peer=worker)
                if worker and self._gone:  # which makes the checkpoint, and may not hear of it by any other way
                    self.send(0, {"kind": "order", "order": "stop"})
            case "preempted":
                self._left(worker, bool(message.get("entered")), str(message.get("message")))

    def fell(self, cause: Cause, now: float) -> None:
        """A worker ends for a reason; an echo of another's death waits for the reason of that."""
        if not cause.hearsay:
            self._finish(End(cause=cause))
        elif self._suspect is None:
            self._suspect = (cause, now)

    def silent(self, worker: int, why: str, now: float) -> None:
        """The connection to a worker's supervisor broke."""
        self.fell(lost(worker, f"its supervisor at {self.peers[worker]} is gone: {why}"), now)

    def tick(self, now: float) -> None:
        """Look at the clock."""
        if self.end is not None:
            return
        for worker, member in enumerate(self.members):
            if member.phase is not Phase.AWAITED and now - member.heard > self.timing.silence:
                self.silent(worker, f"not a word for {now - member.heard:.0f} s", now)
                return
        if self._suspect and now - self._suspect[1] > self.timing.settle:
            self._finish(End(cause=self._suspect[0]))
        elif self._started is None:
            if now - self.began > self.timing.rendezvous:
                self._finish(End(cause=self._missing(now)))
        elif min(each.phase for each in self.members) < Phase.TRAINING:
            if now - self._started > self.timing.startup:
                self._hang(f"no first step {now - self._started:.0f} s after all workers had come", now)
        elif (idle := now - max(each.moved for each in self.members)) > self.timing.step:
            self._hang(f"no progress for {idle:.0f} s", now)

    def _event(self, worker: int, member: Member, event: Mapping[str, Any], now: float) -> None:
        name = str(event.get("event"))
        member.moved = now
        member.phase = max(member.phase, _PHASES.get(name, member.phase))
        if name == "step":
            member.doing = f"was after step {event.get('step')}"
        elif name in ("alive", "saved"):
            member.doing = f"was in {event.get('doing', 'checkpoint')}"
            if self._gone:  # one that resumes after the last step has none to make
                member.phase = max(member.phase, Phase.TRAINING)
        elif name == "newest" and worker == 0:
            self._newest = (event.get("checkpoint"),)
        elif name == "restored":
            member.restored = (event.get("step"), event.get("digest"))
            self._compare()
        elif name == "done" and worker == 0:
            self._finish(End(payload=event.get("payload") or {}))
            return
        self._restore()

    def _restore(self) -> None:
        if self._newest is None:
            return
        for worker, member in enumerate(self.members):
            if member.phase is Phase.READY and not member.restoring:
                member.restoring = True
                self.send(worker, {"kind": "order", "order": "restore", "checkpoint": self._newest[0]})

    def _compare(self) -> None:
        """All workers must begin with the same step and weights: unequal ones would train on for days unnoticed."""
        states = [each.restored for each in self.members]
        if None in states:
            return
        if len(set(states)) > 1:
            said = "; ".join(f"worker {i}: step {s[0]}, weights {str(s[1])[:12]}" for i, s in enumerate(states) if s)
            common = Counter(states).most_common(1)[0][0]
            odd = [i for i, state in enumerate(states) if state != common]
            who = f"worker{'s' if len(odd) > 1 else ''} {', '.join(map(str, odd))}"
            message = f"{who} restored another state than the rest: {said}. Nothing was trained; a retry restores anew"
            self._finish(End(cause=Cause(odd[0], NightshiftError.__name__, message)))
            return
        step = states[0][0] if states[0] else None
        self.log.info("all workers restored the same", step=step)
        self._gone = True
        self._all({"kind": "order", "order": "go"})

    def _left(self, worker: int, entered: bool, message: str) -> None:
        # Worker 0 has the checkpoint to make: the others have nothing to lose, and wait for it.
        if worker == 0 or not entered or not self._gone:
            self._finish(End(cause=preempted(self._told[0] if self._told else worker, message)))

    def _missing(self, now: float) -> Cause:
        absent = [i for i, each in enumerate(self.members) if each.phase is Phase.AWAITED]
        names = ", ".join(f"worker {i} ({self.peers[i]})" for i in absent)
        verb = "has" if len(absent) == 1 else "have"
        what = f"{names} {verb} not come within {now - self.began:.0f} s; {len(self.peers) - len(absent)} of "
        return Cause(
            absent[0], "PeerLost", f"{what}{len(self.peers)} workers met. Look at its log, or why it cannot start"
        )

    def _hang(self, what: str, now: float) -> None:
        last = min(each.phase for each in self.members)
        guilty = [i for i, each in enumerate(self.members) if each.phase == last]
        said = "; ".join(
            f"worker {i} {each.doing or _DOING.get(each.phase, 'was done')}, {now - each.moved:.0f} s ago"
            for i, each in enumerate(self.members)
            if i in guilty
        )
        who = ", ".join(map(str, guilty))
        message = f"worker {who} is lost: {what} ({said}). Each worker's log has the stacks of its threads"
        if len(guilty) > 1:
            message = f"one of workers {who} is lost: {what} ({said}). Their logs have the stacks of their threads"
        self._finish(End(cause=Cause(guilty[0], "PeerLost", message, hang=True)))

    def _finish(self, end: End) -> None:
        if self.end is None:
            self.end = end
            self._all(end.message())

    def _all(self, message: Mapping[str, Any]) -> None:
        for worker, member in enumerate(self.members):
            if member.phase is not Phase.AWAITED:
                self.send(worker, message)
