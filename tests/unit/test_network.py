"""No crawl connects to an address that its corpus does not allow."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tasks.sources.network import Blocked, Networks
from tasks.sources.web.download import Connector, GuardedResolver
from tests.sites.site import Site

FORBIDDEN = {
    "loopback": ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"],
    "private": ["10.1.2.3", "172.31.0.1", "192.168.1.1", "fc00::1", "fd00:ec2::254", "::ffff:10.0.0.1", "64:ff9b:1::1"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254"],
    "carrier-grade NAT": ["100.64.0.1", "100.100.100.200"],
    "multicast": ["224.0.0.1", "ff02::1"],
    "unspecified": ["0.0.0.0", "::"],
    "a metadata service": ["168.63.129.16", "::ffff:168.63.129.16"],
}
NO_PUBLIC = ["192.0.0.192", "192.88.99.1", "198.18.0.1", "203.0.113.5", "240.0.0.1", "255.255.255.255"]
NO_PUBLIC6 = ["100::1", "2001:db8::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "3fff::1", "fec0::1", "::7f00:1"]
PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize(("kind", "address"), [(k, a) for k, addresses in FORBIDDEN.items() for a in addresses])
def test_forbidden_addresses_are_named_by_kind(kind: str, address: str) -> None:
    assert Networks([]).refusal(address) == kind


@pytest.mark.parametrize("address", [*NO_PUBLIC, *NO_PUBLIC6, "2a00::5efe:10.0.0.1", "example.org", "1.2.3", ""])
def test_whatever_is_no_public_address_is_refused(address: str) -> None:
    assert Networks([]).refusal(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert Networks([]).refusal(address) is None


def test_an_allowed_network_opens_itself_and_nothing_else() -> None:
    networks = Networks(["127.0.0.0/8", "fd00::/8"])
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::1"):
        assert networks.refusal(address) is None
    for address in ("::1", "10.0.0.1", "fe80::1", "169.254.169.254"):
        assert networks.refusal(address)


class Answers(AbstractResolver):
    """A name server whose answers change from one question to the next."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=a, port=port, family=socket.AF_INET, proto=0, flags=0) for a in addresses
        ]

    async def close(self) -> None: ...


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        running.page("/", "here")
        yield running


async def get(connector: aiohttp.TCPConnector, url: str, times: int = 1) -> list[int | str]:
    """Statuses, or what went wrong."""
    results: list[int | str] = []
    async with aiohttp.ClientSession(connector=connector) as session:
        for _ in range(times):
            try:
                async with session.get(url) as response:
                    results.append(response.status)
            except (aiohttp.ClientError, Blocked) as error:
                results.append(str(getattr(error, "os_error", error)))
    return results


def test_a_name_that_turns_private_between_two_lookups_is_refused(site: Site) -> None:
    # 127.0.0.1 plays the public address, 127.0.0.2 the private one; the site listens on the first only.
    answers = Answers(["127.0.0.1"], ["127.0.0.2"])

    async def twice() -> list[int | str]:
        connector = Connector(Networks(["127.0.0.1/32"]), answers, use_dns_cache=False, force_close=True)
        return await get(connector, f"http://site.test:{site.port}/", 2)

    first, second = asyncio.run(twice())
    assert first == 200
    assert "127.0.0.2, which is loopback" in str(second)
    assert (answers.asked, len(site.hits)) == (2, 1)


def test_one_lookup_is_made_for_a_connection(site: Site) -> None:
    answers = Answers(["127.0.0.1"], ["127.0.0.2"])

    async def once() -> list[int | str]:
        return await get(Connector(Networks(["127.0.0.1/32"]), answers), f"http://site.test:{site.port}/")

    assert asyncio.run(once()) == [200]
    assert answers.asked == 1


def test_of_mixed_answers_only_the_allowed_are_used(site: Site) -> None:
    resolver = GuardedResolver(Networks(["127.0.0.1/32"]), Answers(["127.0.0.2", "10.0.0.1", "127.0.0.1"]))
    assert [one["host"] for one in asyncio.run(resolver.resolve("site.test", 80))] == ["127.0.0.1"]


def test_a_socket_is_not_even_made_for_a_forbidden_address(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the resolver's check gone, the check of the socket's own address is the one that holds.
    monkeypatch.setattr(GuardedResolver, "resolve", lambda self, *args, **more: self._inner.resolve(*args, **more))

    async def once() -> list[int | str]:
        connector = Connector(Networks([]), Answers(["127.0.0.1"]))
        return await get(connector, f"http://site.test:{site.port}/")

    (error,) = asyncio.run(once())
    assert "loopback" in str(error)
    assert not site.hits
