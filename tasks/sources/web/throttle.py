"""Scrapy's AutoThrottle, which also learns from answers without a body."""

from __future__ import annotations

from scrapy.core.downloader import Slot
from scrapy.extensions.throttle import AutoThrottle
from scrapy.http import Response


class Throttle(AutoThrottle):
    """AutoThrottle never lowers a delay after anything but a 200: a night of 304s would stay at its first.

    A 304 is the page's whole answer, not an error that comes cheap, so it counts as a 200 does. A delay
    never falls below what the host's robots.txt asks for.
    """

    def _adjust_delay(self, slot: Slot, latency: float, response: Response) -> None:
        judged = response.replace(status=200) if response.status == 304 else response
        super()._adjust_delay(slot, latency, judged)
        assert response.request is not None
        pace: dict[str, float] = self.crawler.settings["NIGHTSHIFT_PACE"]
        slot.delay = max(slot.delay, pace.get(response.request.meta["download_slot"], 0.0))
