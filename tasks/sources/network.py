"""Which addresses a crawl may connect to.

A crawler follows links that strangers write, from inside somebody's network: every address is judged
after the name was resolved, and the connection goes to the very address that was judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Net = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291, deprecated
_ISATAP = (0x5EFE, 0x200_5EFE)  # RFC 5214: the interface id holds an IPv4 address

# Not for the public by IANA's special-purpose registries, whatever this Python's tables know of them,
# and public addresses that cloud hosts answer on.
_SPECIAL: dict[Net, str] = {
    ip_network("168.63.129.16/32"): "a metadata service",
    ip_network("100.64.0.0/10"): "carrier-grade NAT",
    ip_network("192.0.0.0/24"): "reserved",
    ip_network("192.88.99.0/24"): "reserved",
    ip_network("64:ff9b:1::/48"): "private",
    ip_network("100::/64"): "discarded",
    ip_network("2001::/23"): "reserved",
    ip_network("3fff::/20"): "documentation",
    ip_network("5f00::/16"): "private",
    ip_network("fec0::/10"): "site-local",
}


class Blocked(OSError):
    """The name or address leads to a network that the corpus does not allow."""


class Networks:
    """Public addresses, and the networks that a corpus allows by name.

    >>> Networks(["127.0.0.0/8"]).refusal("127.0.0.1") is None
    True
    >>> Networks([]).refusal("::ffff:10.0.0.1")
    'private'
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed: tuple[Net, ...] = tuple(ip_network(cidr) for cidr in allowed)

    def refusal(self, address: str) -> str | None:
        """Why a crawl may not connect to ``address``, or None if it may.

        ``address`` is what a socket is given: canonical notation, an IPv6 zone allowed.
        """
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return "not an address"
        # An address may carry another one inside: both must be allowed.
        for one in (parsed, *_embedded(parsed)):
            kind = None if self._named(one) or self._carries(one) else _kind(one)
            if kind:
                return kind
        return None

    def require(self, address: str, host: str) -> None:
        """Raise ``Blocked``, naming host, address and its kind, unless a crawl may connect."""
        if kind := self.refusal(address):
            raise Blocked(f"{host} is {address}, which is {kind}: only public addresses and `networks` are crawled")

    def _named(self, address: Address) -> bool:
        return any(address.version == net.version and address in net for net in self._allowed)

    def _carries(self, address: Address) -> bool:
        """Whether the address only wraps an IPv4 address, which is then judged by itself."""
        return isinstance(address, IPv6Address) and (address.ipv4_mapped is not None or address in _NAT64)


def check_network(cidr: str) -> str:
    """A network as the YAML may give it.

    Raises:
        ValueError: not a network, or host bits are set.
    """
    ip_network(cidr)
    return cidr


def _embedded(address: Address) -> list[IPv4Address]:
    """IPv4 addresses that an IPv6 address would be translated or tunnelled to."""
    if not isinstance(address, IPv6Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    low = int(address) & 0xFFFF_FFFF
    if address in _NAT64 or (address in _COMPATIBLE and low > 0xFFFF):
        found.append(IPv4Address(low))
    if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
        found.append(IPv4Address(low))
    return [one for one in found if one is not None]


def _kind(address: Address) -> str | None:
    """What makes an address no public one, or None."""
    for net, kind in _SPECIAL.items():
        if address.version == net.version and address in net:
            return kind
    for name in ("loopback", "link_local", "multicast", "unspecified", "private", "reserved"):
        if getattr(address, f"is_{name}"):
            return name.replace("_", "-")
    return None if address.is_global else "not public"
