"""Source ``crawl``: the live web, politely, incrementally, and never outside the networks it may see."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from tasks.catalog import Input
from tasks.section import Bytes, Duration, Section
from tasks.sources.base import SOURCES, Harvest, Target
from tasks.sources.network import check_network
from tasks.step import Context

_PACE = ("concurrency", "concurrency_per_domain", "delay", "throttle", "timeout", "retries", "segment")
"""How fast and how patiently: may be turned in the middle of a night without beginning anew."""


class Budget(Section):
    """Where a night's crawl ends at the latest; what was not reached comes first the next night."""

    pages: int = Field(100_000, ge=1, description="URLs visited, whatever came of them")
    bytes: Bytes = Field("20GB", description="of payloads")  # type: ignore[assignment]
    time: Duration = Field("6h", description="crawling time, over all attempts")  # type: ignore[assignment]


class ThrottleParams(Section):
    """Scrapy's AutoThrottle: a host that answers slower is asked less often."""

    start: Duration = Field("1s", description="delay between two requests to a host at first")  # type: ignore[assignment]
    target: float = Field(1.0, gt=0, description="requests in parallel that a host should see on average")
    max: Duration = Field("60s", description="largest delay")  # type: ignore[assignment]


class SegmentParams(Section):
    """How much a kill may cost: a segment is committed when it reaches one of these."""

    pages: int = Field(200, ge=1, description="closed after so many pages")
    bytes: Bytes = Field("64MB", description="closed at this size")  # type: ignore[assignment]
    age: Duration = Field("60s", description="closed after so long")  # type: ignore[assignment]


class CrawlParams(Section):
    """What to crawl and how gently."""

    seeds: tuple[str, ...] = Field((), description="URLs where a crawl begins")
    sitemaps: tuple[str, ...] = Field((), description="URLs of sitemaps or sitemap indexes, XML, text or gzip")
    domains: tuple[str, ...] = Field(
        (), description="hosts to stay on, their subdomains included; by default the hosts of seeds and sitemaps"
    )
    allow: tuple[str, ...] = Field((), description="regular expressions; a URL must match one, if any is given")
    deny: tuple[str, ...] = Field((), description="regular expressions; a URL must match none")
    content_types: tuple[str, ...] = Field(
        ("text/html", "application/xhtml+xml", "text/plain"), description="media types that are kept"
    )
    images: bool = Field(
        False,
        description="of `kind: images`: fetch what pages show, of each image the largest file; "
        "`clean.labels` then reads the URL of an image's page. "
        "They must lie within domains, allow and deny, as pages must",
    )
    depth: int = Field(20, ge=0, description="links from a seed or sitemap entry at most")
    redirects: int = Field(5, ge=0, description="redirects in a row at most")
    page_bytes: Bytes = Field("10MB", description="a larger page is skipped, compressed or not")  # type: ignore[assignment]
    budget: Budget = Budget()
    robots: bool = Field(True, description="obey robots.txt")
    user_agent: str = Field("Nightshift/0.1", min_length=1, description="name yourself and where you can be reached")
    networks: tuple[str, ...] = Field(
        (), description="networks beside the public ones that may be connected to, as in 127.0.0.0/8"
    )
    verify_tls: bool = Field(True, description="refuse servers whose certificate does not verify")
    concurrency: int = Field(16, ge=1, le=512, description="requests at a time")
    concurrency_per_domain: int = Field(4, ge=1, le=512, description="requests at a time to one host")
    delay: Duration = Field("0s", description="least time between two requests to a host")  # type: ignore[assignment]
    throttle: ThrottleParams | None = Field(ThrottleParams(), description="null for a site of your own")
    timeout: Duration = Field("30s", description="for one response, from look-up to last byte")  # type: ignore[assignment]
    retries: int = Field(2, ge=0, le=20, description="of a visit that failed in a way that may pass")
    segment: SegmentParams = SegmentParams()
    forget: int = Field(7, ge=1, description="a URL that was never a page and failed so many nights is forgotten")

    @field_validator("seeds", "sitemaps")
    @classmethod
    def _urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"{url!r} is not an http(s) URL")
        return value

    @field_validator("allow", "deny")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        return value

    @field_validator("networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for cidr in value:
            check_network(cidr)
        return value

    @field_validator("content_types")
    @classmethod
    def _lower(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(kind.lower() for kind in value)

    @model_validator(mode="after")
    def _begins_somewhere(self) -> Self:
        if not self.seeds and not self.sitemaps:
            raise ValueError("give seeds, sitemaps, or both")
        return self

    def hosts(self) -> tuple[str, ...]:
        """The domains to stay on."""
        if self.domains:
            return self.domains
        return tuple(dict.fromkeys(urlsplit(url).hostname or "" for url in (*self.seeds, *self.sitemaps)))


@SOURCES.register("crawl")
class Crawl:
    """Crawls a site as it is now, building on what the partition before knew of it."""

    Params: ClassVar[type[Section]] = CrawlParams
    replayable = False

    def __init__(self, params: CrawlParams) -> None:
        self.params = params

    def shape(self) -> dict[str, Any]:
        # Left out where it is not asked for, so that crawls from before there were images are still what they were.
        images = set() if self.params.images else {"images"}
        return self.params.model_dump(mode="json", exclude={*_PACE, *images})

    def inputs(self, context: Context, partition: str, known: Mapping[str, Any]) -> Sequence[Input]:
        return ()

    def fetch(self, target: Target) -> Harvest:
        # Scrapy, aiohttp and pyarrow are imported by crawls only: every corpus YAML imports this file.
        from tasks.sources.web.run import run

        return run(target, self.params)

    def unfinished(self, context: Context, folder: str, config: str) -> bool:
        from tasks.sources.web.journal import Journal

        start = Journal(context.store, folder).started()
        return start is not None and start.config == config

    def tidy(self, context: Context, folder: str) -> None:
        from tasks.sources.web.journal import Journal

        Journal(context.store, folder).clear()
