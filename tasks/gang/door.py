"""The hub's door: who may come in, and how who is already in is reached."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.errors import BadInput, PeerLost
from tasks.gang.cause import Cause
from tasks.gang.hub import Hub, Phase
from tasks.gang.identity import Identity
from tasks.gang.wire import Wire

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_STRANGERS = 64
"""So many connections may be open without having said who they are; the oldest makes room."""
_HELLO_BYTES = 16 << 10


class Door:
    """Listens for supervisors: one that says it is a worker of this gang is handed to the hub, anybody else leaves.

    A worker of the same generation with another configuration is a gang that can never be whole: its end. One of
    another generation is a leftover, and no concern of this gang.
    """

    def __init__(
        self,
        listener: socket.socket,
        identity: Identity,
        selector: selectors.BaseSelector,
        hello_seconds: float,
        log: FilteringBoundLogger,
    ) -> None:
        self.hub: Hub | None = None
        self._listener, self._identity, self._selector = listener, identity, selector
        self._hello_seconds, self._log = hello_seconds, log
        self._strangers: dict[Wire, tuple[float, str]] = {}
        self._members: dict[int, Wire] = {}
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ, self._knock)

    def send(self, worker: int, message: Mapping[str, Any]) -> None:
        """Reach a worker's supervisor, as long as it is there."""
        if wire := self._members.get(worker):
            wire.send(message)

    def tick(self, now: float) -> None:
        """Show out who does not say who it is."""
        for wire, (since, address) in list(self._strangers.items()):
            if now - since > self._hello_seconds:
                self._show_out(wire, address, "it did not say who it is")

    def finish(self) -> None:
        """Nobody comes in any more; who is in has been told all."""
        if self._listener.fileno() >= 0:
            self._selector.unregister(self._listener)
            self._listener.close()
        for wire in list(self._strangers):
            wire.close()
        self._strangers.clear()
        for wire in self._members.values():
            wire.finish()

    @property
    def empty(self) -> bool:
        """Whether everybody has left."""
        return not any(wire.open for wire in self._members.values())

    def close(self) -> None:
        """Be done with all of it."""
        self.finish()
        for wire in self._members.values():
            wire.close()

    def _knock(self, mask: int) -> None:
        try:
            sock, address = self._listener.accept()
        except OSError as error:  # who knocked is gone again, or there are too many open files
            self._log.warning("could not let somebody in", error=str(error))
            return
        if len(self._strangers) >= _STRANGERS:
            oldest = min(self._strangers, key=lambda wire: self._strangers[wire][0])
            self._show_out(oldest, self._strangers[oldest][1], "too many others are waiting")
        name = f"{address[0]}:{address[1]}"
        wire = Wire(self._selector, sock, lambda message: None, lambda why: None, _HELLO_BYTES)
        wire.heard = lambda message: self._hello(wire, name, message)
        wire.ended = lambda why: self._show_out(wire, name, why)
        self._strangers[wire] = (time.monotonic(), name)

    def _hello(self, wire: Wire, address: str, message: Mapping[str, Any]) -> None:
        try:
            if message.get("kind") != "hello":
                raise ValueError("its first words are no hello")
            worker = int(message["worker"])
            identity = Identity.from_json(message["identity"])
        except (ValueError, KeyError, TypeError) as error:
            self._show_out(wire, address, str(error))
            return
        assert self.hub is not None
        if identity.generation != self._identity.generation:
            why = f"it is of generation {identity.generation}, and another is meeting here"
            self._refuse(wire, address, PeerLost, why)
            return
        if difference := self._identity.difference(identity):
            why = f"worker {worker} cannot train with this gang: {difference}"
            self._refuse(wire, address, BadInput, why)
            self.hub.fell(Cause(worker, BadInput.__name__, why), time.monotonic())
            return
        if not 0 < worker < len(self.hub.members) or self.hub.members[worker].phase is not Phase.AWAITED:
            self._refuse(wire, address, BadInput, f"there is a worker {worker} already: each index is given once")
            return
        del self._strangers[wire]
        self._members[worker] = wire
        wire.trust()
        wire.heard = lambda said: self._said(worker, said)
        wire.ended = lambda why: self._left(worker, why)
        wire.send({"kind": "welcome"})
        self.hub.came(worker, time.monotonic())

    def _said(self, worker: int, message: Mapping[str, Any]) -> None:
        assert self.hub is not None
        self.hub.heard(worker, message, time.monotonic())

    def _left(self, worker: int, why: str) -> None:
        assert self.hub is not None
        self.hub.silent(worker, why, time.monotonic())

    def _refuse(self, wire: Wire, address: str, error: type[Exception], why: str) -> None:
        wire.send({"kind": "refused", "type": error.__name__, "message": why})
        wire.ended = lambda ended: self._show_out(wire, address, why)
        wire.finish()  # it leaves when it has read why, or is shown out in time
        self._log.warning("refused a worker", address=address, why=why)

    def _show_out(self, wire: Wire, address: str, why: str) -> None:
        wire.close()
        if self._strangers.pop(wire, None):
            self._log.info("somebody who knocked has left", address=address, why=why)
