"""robots.txt (RFC 9309) as a Scrapy downloader middleware."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit

from protego import Protego
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response

from tasks.sources.web.download import Failed, Refused
from tasks.sources.web.links import normalise

_LIMIT = 512_000
_REDIRECTS = 5
_LONGEST_DELAY = 60.0

Rules = Protego | Failed
"""``Failed``: everything is disallowed, because the server could not say what is allowed."""


class Robots:
    """Asks each origin once, and refuses what it disallows.

    A missing file (4xx, endless redirects) allows everything; one that the server could not give (5xx, no
    answer) disallows everything, as section 2.3.1 says.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._tries: int = crawler.settings["NIGHTSHIFT_RETRIES"] + 1
        self._agent: str = crawler.settings["USER_AGENT"]
        self._rules: dict[str, asyncio.Task[Rules]] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        return cls(crawler)

    async def process_request(self, request: Request) -> None:
        """Let the request pass.

        Raises:
            Refused: ``robots``, the file disallows the URL.
            Failed: nobody knows: ``robots_unreachable``, or what kept the file from coming.
        """
        if request.meta.get("robots"):
            return
        parts = urlsplit(request.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._rules:
            self._rules[origin] = asyncio.create_task(self._ask_patiently(origin))
        rules = await self._rules[origin]
        if isinstance(rules, Failed):
            raise Failed(rules.reason, f"robots.txt of {origin}")
        if not rules.can_fetch(request.url, self._agent):
            raise Refused("robots")
        if delay := rules.crawl_delay(self._agent):
            self._slow_down(request, min(float(delay), _LONGEST_DELAY))

    def _slow_down(self, request: Request, delay: float) -> None:
        """Keep the host's Crawl-delay, which is no standard and often asked for."""
        assert self._crawler.engine is not None
        key, slot = self._crawler.engine.downloader._get_slot(request)
        self._crawler.settings["NIGHTSHIFT_PACE"][key] = delay
        slot.delay = max(slot.delay, delay)

    async def _ask_patiently(self, origin: str) -> Rules:
        # One bad moment of a server must not cost the night all of its pages.
        for attempt in range(self._tries):
            await asyncio.sleep(attempt)
            rules = await self._ask(origin)
            if not isinstance(rules, Failed):
                break
        return rules

    async def _ask(self, origin: str) -> Rules:
        first = url = f"{origin}/robots.txt"
        everything = Protego.parse("")
        for _ in range(_REDIRECTS + 1):
            try:
                response = await self._fetch(url)
            except ValueError:  # a redirect to what is no URL: as good as no file
                return everything
            except Refused as error:
                # An oversize or undecodable file is as good as none. So is one on a blocked address, but
                # for a redirect there: the pages of a blocked origin are refused themselves.
                blocked = error.reason == "blocked_address" and url != first
                return Failed("robots_unreachable") if blocked else everything
            except Failed as error:
                return error
            if response.status >= 500 or response.status == 429:
                return Failed("robots_unreachable")
            if response.status < 300:
                return Protego.parse(response.body.decode("utf-8", "replace"))
            location = response.headers.get("Location") if response.status < 400 else None
            target = normalise(location.decode("latin-1"), url) if location else None
            if target is None:
                return everything
            url = target
        return everything

    async def _fetch(self, url: str) -> Response:
        assert self._crawler.engine is not None
        headers = {"User-Agent": self._agent, "Accept-Encoding": "gzip"}
        request = Request(url, meta={"robots": True, "limit": _LIMIT, "headers": headers}, dont_filter=True)
        response = await self._crawler.engine.download_async(request)
        assert isinstance(response, Response)
        return response
