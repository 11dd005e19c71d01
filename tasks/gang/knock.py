"""A worker's way to the hub: resolve its name, connect, again and again until it is there."""

from __future__ import annotations

import os
import queue
import selectors
import socket
import threading
import time

from tasks.gang.peers import Peer

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_CONNECT_SECONDS = 5.0


class Knock:
    """Connects from a thread of its own, since a name server may take its time; ``selector`` hears when it has.

    The name of a headless Service does not resolve before its pods are there: no failure is final.
    """

    def __init__(self, hub: Peer, selector: selectors.BaseSelector) -> None:
        self.last = "it was not tried yet"
        """Why the last try failed."""
        self._hub, self._selector = hub, selector
        self._connected: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        self._again = threading.Event()
        self._over = False
        self._told, self._tell = os.pipe()
        selector.register(self._told, selectors.EVENT_READ, self._hear)
        self.again()
        threading.Thread(target=self._run, name="knock", daemon=True).start()

    def again(self) -> None:
        """Connect (anew): who opened would not let this worker in, yet."""
        self._again.set()

    def take(self) -> socket.socket | None:
        """A fresh connection, if there is one."""
        try:
            return self._connected.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """Stop; a thread that waits for a name server ends with the process."""
        if not self._over:
            self._over = True
            self._again.set()
            self._selector.unregister(self._told)
            if unused := self.take():
                unused.close()

    def _hear(self, mask: int) -> None:
        os.read(self._told, 64)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while self._again.wait() and not self._over:
            try:
                connected = _connected(self._hub)
            except (OSError, UnicodeError) as error:  # UnicodeError: a name too long to be one
                self.last = str(error)
            else:
                self._again.clear()
                self._connected.put(connected)
                os.write(self._tell, b"!")
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def _connected(hub: Peer) -> socket.socket:
    connected = socket.create_connection((hub.host, hub.port), timeout=_CONNECT_SECONDS)
    if connected.getsockname() == connected.getpeername():  # nobody listens, and the system gave us that very port
        connected.close()
        raise ConnectionRefusedError("connection refused")
    return connected
