"""Scrapy's download handler for http and https: guarded addresses, bounded bodies, named refusals."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from scrapy import Request
from scrapy.core.downloader.handlers.base import BaseDownloadHandler
from scrapy.crawler import Crawler
from scrapy.http import Response

from tasks.sources.network import Blocked, Networks
from tasks.sources.payload import Oversize, Undecodable, decode, encodings

_JUDGED = frozenset({b"content-type", b"etag", b"last-modified", b"location"})


class Refused(Exception):
    """A response that is not kept because of what it is; ``reason`` is what counts say."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Failed(Exception):
    """No whole response came; ``reason`` is what counts say."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class GuardedResolver(AbstractResolver):
    """Resolves a name once and hands on only the addresses that a crawl may connect to."""

    def __init__(self, networks: Networks, inner: AbstractResolver) -> None:
        self._networks = networks
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [one for one in found if self._networks.refusal(one["host"]) is None]
        if found and not allowed:
            self._networks.require(found[0]["host"], host)
        return allowed

    async def close(self) -> None:
        await self._inner.close()


class Connector(aiohttp.TCPConnector):
    """Connections of one crawl. Every socket is made for an address that was just judged.

    What a name resolves to is used as it is, so an answer that changes between two look-ups gains
    nothing; literal addresses in URLs, which need no look-up, meet the same check.
    """

    def __init__(self, networks: Networks, resolver: AbstractResolver | None = None, **options: Any) -> None:
        def guarded(info: Any) -> socket.socket:
            family, kind, protocol, _, address = info
            networks.require(address[0], address[0])
            return socket.socket(family=family, type=kind, proto=protocol)

        inner = resolver or aiohttp.ThreadedResolver()
        super().__init__(resolver=GuardedResolver(networks, inner), socket_factory=guarded, **options)


class _Response(aiohttp.ClientResponse):
    """Remembers the address of its connection, which is given back as soon as a short body has arrived."""

    peer: str | None = None

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        if connection.transport is not None:
            address = connection.transport.get_extra_info("peername")
            self.peer = address[0].partition("%")[0] if address else None
        return await super().start(connection)


class Handler(BaseDownloadHandler):
    """One request, one response; redirects and cookies are nobody's business here.

    Of ``request.meta``: ``headers`` to send, as text; ``accept``, media types of which the response must be one (any
    if missing); ``limit``, bytes of the body, decoded or not. The response's ``flags`` are its status line as latin-1,
    its headers those that a visit is judged by; all of them stay raw in ``request.meta``, for the WARC record.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        settings = crawler.settings
        self._networks: Networks = settings["NIGHTSHIFT_NETWORKS"]
        self._timeout = settings.getfloat("DOWNLOAD_TIMEOUT")
        context: ssl.SSLContext | bool = settings.getbool("NIGHTSHIFT_VERIFY_TLS")
        self._session = aiohttp.ClientSession(
            connector=Connector(
                self._networks,
                settings["NIGHTSHIFT_RESOLVER"],
                ssl=context,
                limit=settings.getint("CONCURRENT_REQUESTS"),
                keepalive_timeout=15,
            ),
            response_class=_Response,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # a proxy from the environment would connect for us, unguarded
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )

    async def download_request(self, request: Request) -> Response:
        """Fetch one URL.

        Raises:
            Refused: the response is not of an accepted type, or too large, or cannot be decoded.
            Failed: no response, or not all of it, in time.
        """
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._fetch(request, started)
        except TimeoutError as error:
            raise Failed("timeout", f"more than {self._timeout:g} s") from error
        except Blocked as error:
            raise Refused("blocked_address") from error
        except aiohttp.ClientError as error:
            raise _named(error) from error
        except (OSError, ValueError, UnicodeError) as error:
            raise Failed("connection", str(error)) from error

    async def close(self) -> None:
        await self._session.close()

    async def _fetch(self, request: Request, started: float) -> Response:
        # yarl must not respell a URL that is already escaped.
        url = yarl.URL(request.url, encoded=True)
        self._judge_literal(url)
        async with self._session.get(url, headers=request.meta["headers"], allow_redirects=False) as response:
            request.meta["download_latency"] = time.monotonic() - started
            peer = response.peer if isinstance(response, _Response) else None
            body = b""
            if 200 <= response.status < 300:
                body = await self._body(response, request.meta.get("accept", ()), request.meta["limit"])
            version = response.version or aiohttp.HttpVersion11
            line = f"HTTP/{version.major}.{version.minor} {response.status} {response.reason or ''}".rstrip()
            request.meta["raw_headers"] = list(response.raw_headers)
            return Response(
                request.url,
                status=response.status,
                headers=[pair for pair in response.raw_headers if pair[0].lower() in _JUDGED],
                body=body,
                flags=[line],
                request=request,
                ip_address=ip_address(peer) if peer else None,
            )

    def _judge_literal(self, url: yarl.URL) -> None:
        try:
            ip_address(url.host or "")
        except ValueError:
            return  # a name: judged when it is resolved
        self._networks.require(url.host or "", url.host or "")

    async def _body(self, response: aiohttp.ClientResponse, accept: Sequence[str], limit: int) -> bytes:
        """The decoded body, or the reason why there is none; never more than ``limit`` bytes of it."""
        status = response.status
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if accept and kind not in accept:
            raise Refused("content_type", status)
        if (response.content_length or 0) > limit:
            raise Refused("oversize", status)
        received = bytearray()
        async for chunk in response.content.iter_any():
            received += chunk
            if len(received) > limit:
                raise Refused("oversize", status)
        applied = encodings(response.headers.get("Content-Encoding"))
        try:
            # Off the loop: undoing a bomb up to the limit takes long enough to be noticed.
            if applied and len(received) > 1 << 16:
                return await asyncio.to_thread(decode, bytes(received), applied, limit)
            return decode(bytes(received), applied, limit)
        except Oversize as error:
            raise Refused("decompression_bomb", status) from error
        except Undecodable as error:
            raise Refused("undecodable", status) from error


def _named(error: aiohttp.ClientError) -> Exception:
    """A failure of aiohttp as one of ours."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Blocked):
            return Refused("blocked_address")
        cause = cause.__cause__ or getattr(cause, "os_error", None)
    if isinstance(error, aiohttp.InvalidURL):
        return Refused("bad_url")
    reasons: list[tuple[type[aiohttp.ClientError], str]] = [
        (aiohttp.ClientSSLError, "tls"),
        (aiohttp.ClientConnectorDNSError, "dns"),
        (aiohttp.ClientConnectorError, "connection"),
        (aiohttp.ClientPayloadError, "incomplete"),
        (aiohttp.ServerDisconnectedError, "disconnected"),
        (aiohttp.ClientResponseError, "bad_response"),
    ]
    reason = next((name for kind, name in reasons if isinstance(error, kind)), "connection")
    return Failed(reason, str(error))
