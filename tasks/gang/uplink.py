"""A supervisor's way to the hub's judgement: in its own process, or over the network."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tasks.gang.cause import Cause, lost
from tasks.gang.door import Door
from tasks.gang.hub import End, Hub
from tasks.gang.identity import Identity
from tasks.gang.knock import Knock
from tasks.gang.peers import Peer
from tasks.gang.timing import Timing
from tasks.gang.wire import Wire

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

Deliver = Callable[[Mapping[str, Any]], None]
"""Takes what the hub tells this supervisor; called from within the loop, must only put it aside."""


class Uplink(Protocol):
    """How a supervisor speaks with the hub; see ``tasks.gang.hub`` for the words."""

    @property
    def met(self) -> bool:
        """Whether the hub hears this worker."""

    def send(self, message: Mapping[str, Any]) -> None:
        """Tell the hub."""

    def tick(self, now: float) -> None:
        """Look at the clock."""

    def beat(self) -> None:
        """Show that this process lives."""

    def finish(self) -> None:
        """All is said."""

    @property
    def over(self) -> bool:
        """Whether all of it was heard, as far as anybody is left to hear it."""

    def close(self) -> None:
        """Be done with it."""


class HubHere:
    """Worker 0's: the hub itself, and the door through which the others reach it."""

    def __init__(
        self,
        listener: socket.socket,
        identity: Identity,
        peers: Sequence[Peer],
        timing: Timing,
        selector: selectors.BaseSelector,
        deliver: Deliver,
        log: FilteringBoundLogger,
    ) -> None:
        self._door = Door(listener, identity, selector, timing.hello, log)
        self._deliver = deliver
        self._hub = self._door.hub = Hub(peers, timing, self._send, log, began=time.monotonic())
        self._hub.came(0, time.monotonic())

    met = True

    def _send(self, worker: int, message: Mapping[str, Any]) -> None:
        if worker == 0:
            self._deliver(message)
        else:
            self._door.send(worker, message)

    def send(self, message: Mapping[str, Any]) -> None:
        self._hub.heard(0, message, time.monotonic())

    def tick(self, now: float) -> None:
        self._door.tick(now)
        self._hub.tick(now)

    def beat(self) -> None:
        for worker in range(len(self._hub.peers)):
            self._send(worker, {"kind": "beat"})
        self.send({"kind": "beat"})

    def finish(self) -> None:
        self._door.finish()

    @property
    def over(self) -> bool:
        return self._door.empty

    def close(self) -> None:
        self._door.close()


class HubThere:
    """Everybody else's: a connection to worker 0, made anew until it lets this worker in, and never after."""

    def __init__(
        self,
        worker: int,
        identity: Identity,
        hub: Peer,
        timing: Timing,
        selector: selectors.BaseSelector,
        deliver: Deliver,
        log: FilteringBoundLogger,
    ) -> None:
        self.met = False
        self._worker, self._identity, self._hub = worker, identity, hub
        self._timing, self._selector, self._deliver, self._log = timing, selector, deliver, log
        self._knock = Knock(hub, selector)
        self._wire: Wire | None = None
        self._refusal = ""
        self._began = self._heard = time.monotonic()
        self._said = self._began

    def send(self, message: Mapping[str, Any]) -> None:
        if self._wire and self.met:
            self._wire.send(message)

    def tick(self, now: float) -> None:
        if (sock := self._knock.take()) is not None:
            self._wire = Wire(self._selector, sock, self._hear, self._ended)
            self._heard = now
            self._wire.send({"kind": "hello", "worker": self._worker, "identity": self._identity.to_json()})
        if self._wire and self._wire.open and now - self._heard > self._timing.silence:
            self._wire.close()
            self._ended(f"not a word for {now - self._heard:.0f} s")
        if self.met:
            return
        if now - self._began > self._timing.rendezvous:
            self._deliver(End(cause=self._missing(now)).message())
        elif now - self._said > 10:
            self._said = now
            self._log.info("waiting for worker 0", at=str(self._hub), why=self._refusal or self._knock.last)

    def beat(self) -> None:
        self.send({"kind": "beat"})

    def finish(self) -> None:
        self.close()

    @property
    def over(self) -> bool:
        return True

    def close(self) -> None:
        self._knock.close()
        if self._wire:
            self._wire.close()

    def _hear(self, message: Mapping[str, Any]) -> None:
        self._heard = time.monotonic()
        match message.get("kind"):
            case "welcome":
                self.met = True
                self._knock.close()
                self._log.info("met worker 0", at=str(self._hub))
            case "refused" if message.get("type") == "BadInput":
                self._deliver(End(cause=Cause(self._worker, "BadInput", str(message.get("message")))).message())
            case "refused":
                self._refusal = f"it refused this worker: {message.get('message')}"
            case _:
                self._deliver(message)

    def _ended(self, why: str) -> None:
        if self.met:
            cause = lost(0, f"its supervisor at {self._hub} is gone: {why}")
            self._deliver({"kind": "alone", "cause": cause.to_json()})
        else:
            self._knock.last = why
            self._knock.again()

    def _missing(self, now: float) -> Cause:
        why = self._refusal or self._knock.last
        what = f"it did not let worker {self._worker} in within {now - self._began:.0f} s, at {self._hub}: {why}"
        return lost(0, what)
