"""The crawl as Scrapy runs it: the frontier is its scheduler, every answer becomes an outcome."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from scrapy import Request, Spider
from scrapy.core.scheduler import BaseScheduler
from scrapy.crawler import Crawler
from scrapy.http import Response
from scrapy.logformatter import LogFormatter
from scrapy.settings import Settings
from twisted.python.failure import Failure

from tasks.log import Progress
from tasks.sources.crawl import CrawlParams
from tasks.sources.network import Networks
from tasks.sources.web.frontier import Frontier
from tasks.sources.web.judge import failure, judge, may_pass, outcome_of
from tasks.sources.web.links import SITEMAP_BYTES, Scope
from tasks.sources.web.outcome import Found, Outcome, Task
from tasks.sources.web.pictures import IMAGES
from tasks.sources.web.segments import Segments

_ENCODINGS = "gzip, deflate, br, zstd"
_PAUSE = 0.5
"""Seconds before a failed visit is tried again; doubled each time."""

_PROGRESS = 5.0


class Visits:
    """What one attempt at a crawl works on and how far it is; scheduler and spider share it."""

    def __init__(
        self,
        params: CrawlParams,
        scope: Scope,
        frontier: Frontier,
        segments: Segments,
        seeds: Sequence[Found],
        partition: str,
        progress: Progress,
        *,
        conditional: bool,
        bytes_before: int,
        seconds_before: float,
    ) -> None:
        self.params = params
        self.scope = scope
        self.frontier = frontier
        self.segments = segments
        self.stopped = ""
        """Why no further visit is started, if so: a budget, or ``seeds``, ``failed``, ``interrupted``."""
        self.error: Exception | None = None
        self.bytes = bytes_before
        self._seeds = seeds
        self._partition = partition
        self._progress = progress
        self._conditional = conditional
        self._deadline = time.monotonic() + params.budget.time.total_seconds() - seconds_before
        self._tries: Counter[str] = Counter()

    def more(self) -> bool:
        """Whether there is anything left that may be visited."""
        if not self.stopped and time.monotonic() >= self._deadline:
            self.stopped = "time"
        if not self.stopped and self.bytes >= self.params.budget.bytes:
            self.stopped = "bytes"
        return not self.stopped and self.frontier.more()

    def next(self) -> Task | None:
        """The next visit to start now, if any."""
        if not self.more():
            return None
        return self.frontier.next(self.params.concurrency_per_domain)

    def request_of(self, task: Task, **called: Any) -> Request:
        """The request of a visit, conditional if the page was seen before; ``called``: who takes its end."""
        headers = {"User-Agent": self.params.user_agent, "Accept-Encoding": _ENCODINGS, "Accept": "*/*"}
        accept: tuple[str, ...] = ()
        limit = SITEMAP_BYTES
        if task.kind == "page":
            accept = IMAGES if task.via else self.params.content_types
            limit = self.params.page_bytes
            headers["Accept"] = ", ".join((*accept, "*/*;q=0.1"))
            if self._conditional and task.digest and task.captured:
                headers |= {"If-None-Match": task.etag} if task.etag else {}
                headers |= {"If-Modified-Since": task.modified} if task.modified else {}
        meta = {"task": task, "accept": accept, "limit": limit, "headers": headers}
        return Request(task.url, dont_filter=True, meta=meta, **called)

    async def end(self, task: Task, outcome: Outcome, record: bytes | None) -> None:
        """Take the end of a visit, unless it is worth another try."""
        self._tries[task.url] += 1
        tries = self._tries[task.url]
        if may_pass(outcome) and tries <= self.params.retries and not self.stopped:
            await asyncio.sleep(_PAUSE * 2 ** (tries - 1))  # its host is asked that much less meanwhile
            self.frontier.retry(task.url)
            return
        del self._tries[task.url]
        self._take(outcome, record)
        await self.segments.commit_if_due()

    def skip(self, task: Task, reason: str) -> None:
        """End a visit that cannot even begin; it is committed with the next one that does."""
        self._take(outcome_of(task, "skipped", reason), None)

    def _take(self, outcome: Outcome, record: bytes | None) -> None:
        self.frontier.finish(outcome, self._partition)
        self.segments.add(outcome, record)
        self.bytes += outcome.bytes
        if outcome.round == 0 and not self.frontier.waiting and not self.frontier.visiting:
            self._require_a_start()
        self._tell(1)

    async def watch(self) -> None:
        """Say how far the crawl is even while no visit ends; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_PROGRESS)
            self._tell(0)

    def _tell(self, ended: int) -> None:
        self._progress.advance(ended, queue=self.frontier.waiting, at_once=self.frontier.visiting)

    def _require_a_start(self) -> None:
        """With every seed down, the thousands of pages known from before need not be tried."""
        if all(self.frontier.end_of(seed.url)[0] in ("error", "skipped", "gone") for seed in self._seeds):
            self.stopped = "seeds"

    def fail(self, error: Exception) -> None:
        """Start no further visit; the crawl ends with this error."""
        self.error = self.error or error
        self.stopped = "failed"


class Scheduler(BaseScheduler):
    """Hands Scrapy's engine one visit at a time from the frontier."""

    def __init__(self, visits: Visits, spider: NightSpider) -> None:
        self._visits = visits
        self._spider = spider

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Self:
        assert isinstance(crawler.spider, NightSpider)
        return cls(crawler.spider.visits, crawler.spider)

    def has_pending_requests(self) -> bool:
        return self._visits.more()

    def enqueue_request(self, request: Request) -> bool:
        return False  # visits come from the frontier only

    def next_request(self) -> Request | None:
        # Scrapy logs what is raised here and goes on, with a visit begun that would never end.
        try:
            while (task := self._visits.next()) is not None:
                try:
                    return self._visits.request_of(task, callback=self._spider.answered, errback=self._spider.failed)
                except ValueError:  # a URL that Scrapy or w3lib does not take
                    self._visits.skip(task, "bad_url")
        except Exception as error:  # noqa: BLE001
            self._visits.fail(error)
        return None


class Unsaid(LogFormatter):
    """No line for each answer: nobody reads them, and composing one takes longer than a look at the frontier."""

    def crawled(self, request: Request, response: Response, spider: Spider) -> Any:
        return None


class NightSpider(Spider):
    """Turns answers and failures into outcomes."""

    name = "nightshift"

    def __init__(self, visits: Visits, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.visits = visits

    async def start(self) -> AsyncIterator[Any]:
        return
        yield

    async def answered(self, response: Response) -> None:
        assert response.request is not None
        task: Task = response.request.meta["task"]
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # Scrapy logs what a callback raises and goes on; here every visit must end, or the crawl.
        try:
            outcome, record = judge(task, response, date, self.visits.params, self.visits.scope)
            await self.visits.end(task, outcome, record)
        except Exception as error:  # noqa: BLE001
            self.visits.fail(error)

    async def failed(self, problem: Failure) -> None:
        request: Request = problem.request  # type: ignore[attr-defined]  # Scrapy sets it
        task: Task = request.meta["task"]
        try:
            assert problem.value is not None
            await self.visits.end(task, failure(task, problem.value), None)
        except Exception as error:  # noqa: BLE001
            self.visits.fail(error)


def settings_of(params: CrawlParams, resolver: Any = None) -> Settings:
    """Scrapy's settings for a crawl; ``resolver`` replaces the system's, in tests."""
    throttle = params.throttle
    handler = "tasks.sources.web.download.Handler"
    robots = {"tasks.sources.web.robots.Robots": 100} if params.robots else {}
    return Settings(
        {
            "TWISTED_REACTOR_ENABLED": False,
            "LOG_ENABLED": False,
            "LOG_FORMATTER": Unsaid,
            "STATS_CLASS": "scrapy.statscollectors.DummyStatsCollector",
            "TELNETCONSOLE_ENABLED": False,
            "SCHEDULER": Scheduler,
            "DOWNLOAD_HANDLERS_BASE": {},
            "DOWNLOAD_HANDLERS": {"http": handler, "https": handler},
            # Redirects, retries, cookies, caches and proxies of Scrapy's own would act behind the frontier's back.
            "DOWNLOADER_MIDDLEWARES_BASE": {},
            "DOWNLOADER_MIDDLEWARES": robots,
            "SPIDER_MIDDLEWARES_BASE": {},
            "EXTENSIONS_BASE": {},
            "EXTENSIONS": {"tasks.sources.web.throttle.Throttle": 0} if throttle else {},
            "USER_AGENT": params.user_agent,
            "CONCURRENT_ITEMS": 1,  # there are none; Scrapy starts so many workers for each page's
            "CONCURRENT_REQUESTS": params.concurrency,
            "CONCURRENT_REQUESTS_PER_DOMAIN": params.concurrency_per_domain,
            "DOWNLOAD_DELAY": params.delay.total_seconds(),
            "DOWNLOAD_TIMEOUT": params.timeout.total_seconds(),
            "AUTOTHROTTLE_ENABLED": throttle is not None,
            "AUTOTHROTTLE_START_DELAY": throttle.start.total_seconds() if throttle else 0,
            "AUTOTHROTTLE_TARGET_CONCURRENCY": throttle.target if throttle else 1.0,
            "AUTOTHROTTLE_MAX_DELAY": throttle.max.total_seconds() if throttle else 0,
            "NIGHTSHIFT_NETWORKS": Networks(params.networks),
            "NIGHTSHIFT_RETRIES": params.retries,
            "NIGHTSHIFT_VERIFY_TLS": params.verify_tls,
            "NIGHTSHIFT_RESOLVER": resolver,
            "NIGHTSHIFT_PACE": {},
        }
    )
