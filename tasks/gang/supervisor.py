"""One worker's supervisor: meets the others, starts its child when all are there, and sees that all end together."""

from __future__ import annotations

import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.errors import Preempted
from tasks.gang import peers as addresses
from tasks.gang import signals, tree
from tasks.gang.cause import Cause, ended, failed, lost, preempted
from tasks.gang.child import Child
from tasks.gang.hub import End
from tasks.gang.identity import Identity
from tasks.gang.peers import Peer
from tasks.gang.scratch import scratch
from tasks.gang.timing import Timing
from tasks.gang.uplink import HubHere, HubThere, Uplink

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_SAY_SECONDS = 5.0
_STACKS_SECONDS = 1.0
_IN_A_ROW = 5
"""Training processes that may take another's place without having done anything themselves."""


def supervise(
    worker: int,
    peers: Sequence[Peer],
    identity: Identity,
    command: Sequence[str],
    environment: Mapping[str, str],
    timing: Timing,
    log: FilteringBoundLogger,
    replaceable: bool = False,
) -> Mapping[str, Any]:
    """Be worker ``worker`` of a gang: run ``command`` as its child beside the other workers' to the common end.

    Returns worker 0's payload, in every worker. Must be called from the main thread of a process without other
    children: whatever descends from this process is dead when it returns, and its temporary files are gone. A child
    that is ``replaceable`` and dies once training has begun is started again, and nobody else hears of it.

    Raises:
        PeerLost: a worker died, hung, or never came; the message names it.
        Preempted: a worker was told to leave, and a checkpoint was made.
        BadInput: a worker's child says so, or the workers do not fit together.
        NightshiftError: a worker's child failed otherwise, or a port is taken.
    """
    addresses.require_free(peers[worker], timing.port)
    with selectors.DefaultSelector() as selector, scratch(environment) as environment:
        news: deque[Mapping[str, Any]] = deque()
        uplink: Uplink
        if worker == 0:
            listener = addresses.listen(peers[0], timing.port)
            uplink = HubHere(listener, identity, peers, timing, selector, news.append, log)
        else:
            uplink = HubThere(worker, identity, peers[0], timing, selector, news.append, log)
        config = {**environment, "TF_CONFIG": addresses.tf_config(peers, worker)}
        supervisor = Supervisor(worker, uplink, news, selector, command, config, timing, log, replaceable)
        with signals.heard(selector, supervisor.signalled, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            try:
                end = supervisor.run()
            finally:
                supervisor.close()
    if end.cause:
        raise end.cause.error()
    return end.payload or {}


class Supervisor:
    """The loop over signals, the hub's words (put into ``news``) and the child's."""

    def __init__(
        self,
        worker: int,
        uplink: Uplink,
        news: deque[Mapping[str, Any]],
        selector: selectors.BaseSelector,
        command: Sequence[str],
        environment: Mapping[str, str],
        timing: Timing,
        log: FilteringBoundLogger,
        replaceable: bool = False,
    ) -> None:
        self._replaceable, self._replaced, self._in_vain = replaceable, 0, 0
        self._worker, self._uplink, self._news, self._selector = worker, uplink, news, selector
        self._command, self._environment, self._timing, self._log = command, environment, timing, log
        self._child: Child | None = None
        self._end: End | None = None
        self._own: tuple[Cause, float] | None = None
        """Why this worker itself ends, and until when the hub may say that there is a better reason."""
        self._entered = False
        """Whether the child may be in a step, so that only a checkpoint ends it in order."""
        self._at_rest = False
        """Whether the child has nothing left to do."""
        self._told: float | None = None
        self._stopped: float | None = None
        self._doing: Any = None
        self._said = 0.0
        self._beaten = 0.0
        self._looked = time.monotonic()
        tree.adopt_orphans()

    def run(self) -> End:
        """Until the gang has ended; returns how."""
        self._log.info("looking for the others")
        while self._end is None:
            self._turn()
        if self._end.cause:
            self._log.error("gang ends", because=self._end.cause.message)
        self._part(self._end)
        return self._end

    def close(self) -> None:
        """See everything dead."""
        if self._child:
            self._child.kill()
        tree.end_orphans()
        self._uplink.close()

    def signalled(self, numbers: set[int]) -> None:
        """Signals have come; a second SIGTERM does not cut the way to the checkpoint short."""
        if signal.SIGCHLD in numbers:
            self._reap()
        if numbers & {signal.SIGTERM, signal.SIGINT} and self._told is None and self._end is None:
            self._leave()

    def _turn(self) -> None:
        ready = self._selector.select(self._timing.beat / 4)
        now = time.monotonic()
        # Before anything is heard: whoever gave this process up while it stood still is not to blame.
        if (gap := now - self._looked) > self._timing.silence:
            what = f"its supervisor itself stood still for {gap:.0f} s (SIGSTOP, or no processor was free for it)"
            self._fall(lost(self._worker, what))
        self._looked = now
        for key, mask in ready:
            key.data(mask)
        self._uplink.tick(now)
        while self._news:
            self._hear(self._news.popleft())
        if now - self._beaten >= self._timing.beat:
            self._beaten = now
            self._uplink.beat()
        if self._end is None:
            self._watch(now)

    def _hear(self, message: Mapping[str, Any]) -> None:
        if self._end is not None:
            return
        match message.get("kind"):
            case "start" if self._told is None:
                self._start()
            case "order" if self._child:
                order = {name: value for name, value in message.items() if name != "kind"}
                self._entered = self._entered or order["order"] == "go"
                self._child.order(**order)
            case "end":
                self._end = End.of(message)
            case "alone":  # whatever befell this worker first is the better reason
                own = self._own[0] if self._own and not self._own[0].hearsay else None
                self._end = End(cause=own or Cause.from_json(message["cause"]))

    def _start(self) -> None:
        try:
            self._child = Child(self._command, self._environment, self._selector, self._event, self._garbled)
        except OSError as error:
            self._fall(lost(self._worker, f"cannot start {self._command[0]}: {error}"))
            return
        self._log.info("started the training process", pid=self._child.pid)

    def _event(self, event: Mapping[str, Any]) -> None:
        match event.get("event"):
            case "ready" if self._replaced and self._child:  # the gang has long begun
                self._child.order("restore", checkpoint=None)
                return
            case "restored" if self._replaced and self._child:
                self._child.order("go")
                return
            case "error" if event.get("type") == Preempted.__name__:
                self._at_rest = True
                self._uplink.send({"kind": "preempted", "entered": self._entered, "message": event.get("message")})
                return
            case "error":
                self._fall(failed(self._worker, event))
                return
            case "done":
                self._at_rest = True
                self._log.info("done")
            case "step":
                self._in_vain = 0
                self._progress(event)
            case "alive":
                self._in_vain = 0
                if event.get("doing") != self._doing:
                    self._log.info("doing", what=event.get("doing"))
            case name:
                self._log.info(str(name), **{k: v for k, v in event.items() if k != "event"})
        self._doing = event.get("doing")
        self._uplink.send({"kind": "event", "event": event})

    def _progress(self, event: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if now - self._said >= _SAY_SECONDS:
            self._said = now
            self._log.info("progress", **{k: v for k, v in event.items() if k != "event"})

    def _garbled(self, why: str) -> None:
        self._fall(lost(self._worker, f"its training process does not keep to the protocol: {why}"))

    def _reap(self) -> None:
        if self._child is None or self._child.exit_code is not None:
            tree.reap(0)
        elif tree.reap(self._child.pid):
            code = self._child.gone()
            if not self._at_rest:
                self._died(ended(self._worker, code))

    def _died(self, cause: Cause) -> None:
        """The child is dead: another one takes its place, or this worker ends."""
        if not (self._replaceable and self._entered) or self._told or self._own or self._end:
            self._fall(cause)
            return
        self._replaced += 1
        self._in_vain += 1
        if self._in_vain > _IN_A_ROW:
            self._log.error("no training process stays alive here", tried=_IN_A_ROW)
            self._fall(cause)
            return
        self._stopped = None
        self._log.warning("another training process takes its place", because=cause.message, so_far=self._replaced)
        self._start()

    def _leave(self) -> None:
        self._told = time.monotonic()
        self._log.warning("told to leave", entered=self._entered)
        self._uplink.send({"kind": "stopping"})
        if self._own:  # it ends as it is
            return
        if self._entered and self._child:
            self._child.order("stop")
            return
        what = "it had not begun to train, so nothing was lost"
        if self._child:
            self._child.kill()
        if not self._uplink.met:
            self._end = End(cause=preempted(self._worker, what))
            return
        self._own = (preempted(self._worker, what), self._told + self._timing.farewell)
        self._uplink.send({"kind": "preempted", "entered": False, "message": what})

    def _fall(self, cause: Cause) -> None:
        """This worker ends; the hub knows whether that is why the gang does."""
        if self._own or self._end:
            return
        self._own = (cause, time.monotonic() + self._timing.settle + self._timing.farewell)
        if self._child:
            self._child.kill()
        self._log.error("worker fails", because=cause.message)
        if not self._uplink.met:
            self._end = End(cause=cause)
        self._uplink.send({"kind": "fell", "cause": cause.to_json()})

    def _watch(self, now: float) -> None:
        if self._own and now > self._own[1]:
            self._end = End(cause=self._own[0])
        if self._told is not None and now - self._told > self._timing.grace:
            late = f"it was told to leave (SIGTERM) and had made no checkpoint {self._timing.grace:.0f} s later"
            self._fall(lost(self._worker, late))
        if self._child is None or self._at_rest:
            return
        self._stopped = (self._stopped or now) if self._child.stopped else None
        if self._stopped and now - self._stopped > self._timing.stopped:
            self._child.kill()
            what = f"its training process was stopped (SIGSTOP) for {now - self._stopped:.0f} s"
            self._died(lost(self._worker, what))

    def _part(self, end: End) -> None:
        """Let the child and those who listen to the hub leave by themselves, for a while."""
        gentle = end.cause is None or end.cause.type == Preempted.__name__
        if self._child and gentle:
            self._child.order("end")
        elif self._child and end.cause and end.cause.hang:
            self._child.ask_where()
        elif self._child:
            self._child.kill()
        self._uplink.finish()
        self._linger(self._timing.farewell if gentle else _STACKS_SECONDS, lambda: self._childless)
        if self._child:
            self._child.kill()
        self._linger(self._timing.farewell, lambda: self._uplink.over)

    def _linger(self, seconds: float, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not until():
            for key, mask in self._selector.select(0.1):
                key.data(mask)

    @property
    def _childless(self) -> bool:
        return self._child is None or self._child.exit_code is not None
