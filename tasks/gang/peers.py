"""Where the workers of a gang are: ``host:port`` for the supervisors, the port above it for TensorFlow."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import random
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.errors import BadInput, NightshiftError

_LOWEST, _HIGHEST = 20_000, 32_000
"""Below the ports that Linux gives to outgoing connections: none of those takes one that was just found free."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One worker's address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def training(self) -> Peer:
        """Where TensorFlow listens."""
        return Peer(self.host, self.port + 1)


def parse(text: str) -> tuple[Peer, ...]:
    """The peers of ``host:port,host:port,…``, worker 0 first.

    Raises:
        BadInput: one is not an address, or two are on one host and share a port.
    """
    peers = tuple(_peer(each.strip()) for each in text.split(","))
    taken: dict[tuple[str, int], int] = {}
    for index, peer in enumerate(peers):
        for port in (peer.port, peer.port + 1):
            other = taken.setdefault((peer.host, port), index)
            if other != index:
                raise BadInput(
                    f"--peers: workers {other} and {index} share port {port} of {peer.host}: each needs the one it "
                    "gives and the one above it"
                )
    return peers


def _peer(text: str) -> Peer:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_535:
        raise BadInput(f"--peers: {text!r} is not host:port with a port from 1 to 65534, as in trainer-0.gang:7000")
    return Peer(host, int(port))


def tf_config(peers: Sequence[Peer], worker: int) -> str:
    """The value of TF_CONFIG for one worker."""
    cluster = {"worker": [str(peer.training) for peer in peers]}
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": worker}})


def listen(peer: Peer, patience: float) -> socket.socket:
    """A listening socket at ``peer``'s port: of that address when it is of this machine alone, else of all.

    Raises:
        NightshiftError: the port is still taken after ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return _bound(peer, backlog=128)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                raise NightshiftError(_taken(peer, error)) from error
        time.sleep(min(0.2, patience))


def require_free(peer: Peer, patience: float) -> None:
    """See that TensorFlow can listen: it would only hang.

    Raises:
        NightshiftError: the port is taken.
    """
    listen(peer.training, patience).close()


def _taken(peer: Peer, error: OSError) -> str:
    return (
        f"cannot listen on port {peer.port} for {peer}: {error.strerror}. End what holds it "
        f"(ss -ltnp 'sport = :{peer.port}' names it), or give --peers other ports"
    )


def _bound(peer: Peer, backlog: int) -> socket.socket:
    host = peer.host if _is_loopback(peer.host) else ""
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, peer.port), family=family, backlog=backlog)
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):  # a machine without IPv6 addresses
            return socket.create_server(("", peer.port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
    return socket.create_server(("", peer.port), backlog=backlog)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def _holding(peer: Peer) -> Iterator[Any]:
    with _bound(peer, 1) as first, _bound(peer.training, 1):
        yield first


def on_loopback(count: int) -> tuple[Peer, ...]:
    """So many addresses of this machine, free a moment ago."""
    found: list[Peer] = []
    candidates = list(range(_LOWEST, _HIGHEST, 2))
    random.shuffle(candidates)
    for port in candidates:
        if len(found) == count:
            break
        peer = Peer("127.0.0.1", port)
        with contextlib.suppress(OSError), _holding(peer):
            found.append(peer)
    if len(found) < count:
        raise NightshiftError(f"only {len(found)} of {count} pairs of ports from {_LOWEST} to {_HIGHEST} are free")
    return tuple(found)
