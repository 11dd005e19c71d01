"""One connection in a selector's loop: messages in, messages out, never waiting."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Mapping
from typing import Any

from tasks.gang.line import LINE_BYTES, Lines, encode

_WAITING_BYTES = 8 << 20
"""A peer that reads so little of what it is sent is cut off."""
_CHUNK = 1 << 16


class Wire:
    """A connected stream socket, registered with ``selector``, whose keys' data is what to call when they are ready.

    ``heard`` gets each message; ``ended`` is called once, with why, when the other side is gone or sends what is no
    message, unless this side closes first.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        sock: socket.socket,
        heard: Callable[[dict[str, Any]], None],
        ended: Callable[[str], None],
        limit: int = LINE_BYTES,
    ) -> None:
        self.heard, self.ended = heard, ended
        self.garbled = False
        """Whether the other side sent what is no message."""
        self._selector, self._socket = selector, sock
        self._lines = Lines(limit)
        self._waiting = b""
        self._over = False
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(sock, selectors.EVENT_READ, self._ready)

    @property
    def open(self) -> bool:
        """Whether the other side may still be there."""
        return self._socket.fileno() >= 0

    def trust(self) -> None:
        """Let the other side send lines of full length: it has said who it is."""
        self._lines.limit = LINE_BYTES

    def send(self, message: Mapping[str, Any]) -> None:
        """Send as far as the other side takes it, the rest when it does."""
        if self.open and not self._over:
            self._waiting += encode(message)
            if len(self._waiting) > _WAITING_BYTES:
                self._end("it does not read what it is sent")
            else:
                self._flush()

    def finish(self) -> None:
        """Nothing more will be sent. What comes in is still read: closing on unread bytes would take back the last
        words before the other side has read them."""
        if self.open and not self._over:
            self._over = True
            self.heard = lambda message: None
            self._flush()

    def drain(self) -> None:
        """Hear what has already come."""
        while self.open and self._receive():
            pass

    def close(self) -> None:
        """Be done with it; idempotent."""
        if self.open:
            self._selector.unregister(self._socket)
            self._socket.close()

    def _ready(self, mask: int) -> None:
        if mask & selectors.EVENT_WRITE and self.open:
            self._flush()
        if mask & selectors.EVENT_READ and self.open:
            self._receive()

    def _receive(self) -> bool:
        try:
            data = self._socket.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._end(error.strerror or str(error))
            return False
        if not data:
            self._end("the connection was closed")
            return False
        try:
            for message in self._lines.feed(data):
                self.heard(message)
        except ValueError as error:
            self.garbled = True
            self._end(str(error))
        return True

    def _flush(self) -> None:
        try:
            while self._waiting:
                self._waiting = self._waiting[self._socket.send(self._waiting) :]
            if self._over:
                self._socket.shutdown(socket.SHUT_WR)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._end(error.strerror or str(error))
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._waiting else 0)
        if self._selector.get_key(self._socket).events != wanted:
            self._selector.modify(self._socket, wanted, self._ready)

    def _end(self, why: str) -> None:
        if self.open:
            self.close()
            self.ended(why)
