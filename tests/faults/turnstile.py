"""A TCP relay before an S3 server: it says which objects are being written, and can hold one such request."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from containers.embedded.ports import LOOPBACK

_REQUEST = re.compile(rb"(GET|PUT|POST|HEAD|DELETE) (\S+) HTTP/1\.1\r\n")


class Hold:
    """One request that is held before it reaches the server."""

    def __init__(self, pattern: str, skip: int) -> None:
        self.pattern = re.compile(pattern)
        self.left = skip
        self.reached = threading.Event()
        self.released = threading.Event()


class Turnstile:
    """Relays ``port`` to the server's, on one address of this machine, by default loopback.

    What is relayed is not changed, so that signatures (which cover the host's name and port) stay right.
    """

    def __init__(self, target: int, host: str = LOOPBACK) -> None:
        self._target = (host, target)
        self._listener = socket.create_server((host, 0))
        self.port = int(self._listener.getsockname()[1])
        self._hold: Hold | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            _shut(connection)

    @contextlib.contextmanager
    def holding(self, pattern: str, skip: int = 0) -> Iterator[Hold]:
        """Hold the first request (after ``skip`` others) whose ``METHOD /path`` matches; it never reaches the server.

        Its connection is cut when the block is left: what a dead client sent must not be written after all.
        """
        hold = self._hold = Hold(pattern, skip)
        try:
            yield hold
        finally:
            self._hold = None
            hold.released.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target)
        except OSError:  # the server is down: so is this connection
            client.close()
            return
        with self._lock:
            self._open |= {client, server}
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=self._relay, args=(server, client), daemon=True)
        back.start()
        self._relay(client, server, watched=True)
        back.join()
        with self._lock:
            self._open -= {client, server}
        client.close()
        server.close()

    def _relay(self, source: socket.socket, target: socket.socket, *, watched: bool = False) -> None:
        # A client says its whole request before it waits for the answer: a request begins with a chunk.
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                request = _REQUEST.match(data) if watched else None
                if request and self._held(f"{request[1].decode()} {request[2].decode()}"):
                    break
                target.sendall(data)
        _shut(source)
        _shut(target)

    def _held(self, request: str) -> bool:
        with self._lock:
            hold = self._hold
            if hold is None or hold.reached.is_set() or not hold.pattern.search(request):
                return False
            if hold.left:
                hold.left -= 1
                return False
            hold.reached.set()
        hold.released.wait()
        return True


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
