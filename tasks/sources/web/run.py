"""One attempt at a crawl: take up what is committed, visit the rest, hand over the partition."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from scrapy import signals
from scrapy.crawler import Crawler

from tasks.errors import BadInput, NightshiftError
from tasks.log import Progress
from tasks.section import digest_of
from tasks.sources.base import Harvest, Target
from tasks.sources.crawl import CrawlParams
from tasks.sources.web import record, validators
from tasks.sources.web.frontier import Frontier
from tasks.sources.web.journal import Base, Journal, Start
from tasks.sources.web.links import Scope, normalise
from tasks.sources.web.outcome import Found, Outcome
from tasks.sources.web.pictures import VERSION
from tasks.sources.web.segments import Segments
from tasks.sources.web.spider import NightSpider, Visits, settings_of

_GRACE = 5.0
"""Seconds that visits under way have to end after a SIGTERM or Ctrl-C, before what is there is committed."""
_ROUNDS = 5
"""How often what an interrupted crawl left running is told to end: some of it begins more as it ends."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class SeedsFailed(NightshiftError):
    """None of the URLs that a crawl begins with could be read: the site or the network is down."""


def run(target: Target, params: CrawlParams, *, resolver: Any = None) -> Harvest:
    """Crawl one partition, continuing from what earlier attempts committed.

    Raises:
        SeedsFailed: every seed failed; worth a retry, which visits them anew.
        BadInput: every seed leads to a network that ``networks`` does not allow.
        StoreError: a segment could not be committed; a retry continues.
    """
    attempt = _Attempt(target, params, resolver)
    try:
        return asyncio.run(attempt.run())
    finally:
        attempt.close()


class _Attempt:
    def __init__(self, target: Target, params: CrawlParams, resolver: Any) -> None:
        self._target = target
        self._params = params
        self._resolver = resolver
        self._log = target.context.log
        self._journal = Journal(target.context.store, target.folder)
        self._scope = Scope(params.hosts(), params.allow, params.deny)
        # A page that did not change shows no links. When other links count than the night before, every
        # page is read again.
        counted = {"domains", "allow", "deny", "depth", *(["images"] if params.images else [])}
        found = params.model_dump(mode="json", include=counted) | ({"pictures": VERSION} if params.images else {})
        self._scope_digest = digest_of(found)
        self._frontier = Frontier(target.scratch / "frontier.sqlite", page_budget=params.budget.pages)

    def close(self) -> None:
        """After the event loop: its last tasks may still ask the frontier."""
        self._frontier.close()

    async def run(self) -> Harvest:
        start = self._start()
        conditional = self._take_over(start.base)
        seeds = self._seeds()
        self._frontier.seed(seeds)
        segments = Segments(self._target, self._journal, self._params.segment, self._info)
        seconds, received = self._replay(segments)
        visits = Visits(
            self._params,
            self._scope,
            self._frontier,
            segments,
            seeds,
            self._target.partition,
            Progress(self._log, "pages"),
            conditional=conditional,
            bytes_before=received,
            seconds_before=seconds,
        )
        crawler = await self._visit(visits)
        if visits.stopped != "failed":
            await segments.commit()
        if visits.stopped == "interrupted":
            await _end_what_is_left(crawler)
        if visits.error is not None:
            raise visits.error
        if visits.stopped == "interrupted":
            raise NightshiftError("the crawl was interrupted; what it visited is committed, and a retry continues")
        self._require_a_seed(seeds)
        return self._harvest(visits, segments, start.base)

    def _start(self) -> Start:
        """How this partition's crawl began; begins it if this is the first attempt."""
        found = self._journal.started()
        if found is not None and found.config == self._target.config:
            return found
        if found is not None:
            self._log.warning("the configuration changed since the last attempt: the crawl begins anew")
        self._journal.clear()
        start = Start(config=self._target.config, base=validators.base_of(self._target.context, self._target.partition))
        self._journal.start(start)
        return start

    def _take_over(self, base: Base | None) -> bool:
        """Load what the partition before knew; whether unchanged pages may answer 304."""
        if base is None:
            return False
        manifest = self._target.context.catalog.at(base.folder, base.digest)
        for entry in manifest.of_role("validators"):
            path = self._target.context.catalog.fetch(entry, self._target.scratch / "validators.parquet")
            self._frontier.know(row for row in validators.read(path) if self._wanted(row))
            path.unlink()
        self._log.info("builds on", partition=manifest.partition)
        return manifest.details.get("scope") == self._scope_digest

    def _wanted(self, row: dict[str, Any]) -> bool:
        """The YAML may have become narrower since."""
        return row["depth"] <= self._params.depth and self._scope.covers(row["url"])

    def _seeds(self) -> list[Found]:
        seeds = [Found(url) for url in self._normal(self._params.seeds)]
        return seeds + [Found(url, "sitemap") for url in self._normal(self._params.sitemaps)]

    def _normal(self, urls: Sequence[str]) -> list[str]:
        normal = [(url, normalise(url)) for url in urls]
        for url, found in normal:
            if found is None or not self._scope.covers(found):
                raise BadInput(
                    f"seed {url} is not within domains, allow and deny of the corpus: nothing to crawl there"
                )
        return list(dict.fromkeys(found for _, found in normal if found))

    def _replay(self, segments: Segments) -> tuple[float, int]:
        """Take up every committed segment; crawl time and bytes that went into them."""
        seconds, received, visits = 0.0, 0, 0
        for segment in self._journal.replay(self._continues):
            for outcome in segment.outcomes:
                self._frontier.finish(outcome, self._target.partition)
            if segment.head.warc is not None:
                segments.files.append(segment.head.warc)
            seconds += segment.head.seconds
            received += segment.head.bytes
            visits += len(segment.outcomes)
        if visits:
            self._log.info("continues an earlier attempt", visited=visits, segments=len(segments.files))
        return seconds, received

    def _continues(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether every visit was still to be made, in the order in which they were."""
        found: set[str] = set()
        for outcome in outcomes:
            new = outcome.url in found and not self._frontier.knows(outcome.url)
            if not new and not self._frontier.awaits(outcome.url):
                return False
            found.update(one.url for one in outcome.found())
        return True

    async def _visit(self, visits: Visits) -> Crawler:
        loop = asyncio.get_running_loop()
        crawler = Crawler(NightSpider, settings_of(self._params, self._resolver))
        crawling = asyncio.create_task(crawler.crawl_async(visits=visits))
        watching = asyncio.create_task(visits.watch())

        def interrupt() -> None:
            visits.stopped = visits.stopped or "interrupted"
            loop.call_later(_GRACE, crawling.cancel)

        before = {number: signal.getsignal(number) for number in _SIGNALS}
        with suppress(NotImplementedError, RuntimeError, ValueError):  # not in the main thread
            for number in _SIGNALS:
                loop.add_signal_handler(number, interrupt)
        bridge = _Bridge(self._log)
        loggers = [logging.getLogger(name) for name in ("scrapy", "asyncio")]
        for logger in loggers:
            logger.addHandler(bridge)
        try:
            await crawling
        finally:
            watching.cancel()
            for logger in loggers:
                logger.removeHandler(bridge)
            with suppress(NotImplementedError, RuntimeError, ValueError):
                for number, handler in before.items():
                    loop.remove_signal_handler(number)
                    signal.signal(number, handler)  # the loop would leave the default
        return crawler

    def _require_a_seed(self, seeds: Sequence[Found]) -> None:
        failed = {seed.url: self._frontier.end_of(seed.url) for seed in seeds}
        if any(result in ("page", "unchanged", "sitemap") for result, _ in failed.values()):
            return
        # A retry must visit them again.
        self._journal.clear()
        named = ", ".join(f"{url} ({reason or result})" for url, (result, reason) in failed.items())
        corpus = self._target.context.corpus.corpus
        if all(reason == "blocked_address" for _, reason in failed.values()):
            raise BadInput(f"corpus {corpus}: every seed leads to a network that `networks` does not allow: {named}")
        raise SeedsFailed(f"corpus {corpus} {self._target.partition}: no seed could be read: {named}")

    def _harvest(self, visits: Visits, segments: Segments, base: Base | None) -> Harvest:
        path = self._target.scratch / "validators.parquet"
        rows = validators.write(path, self._frontier.known(forget=self._params.forget))
        files = [*segments.files, self._target.keep(path, "validators", rows=rows)]
        counts, errors = self._frontier.counts()
        details = {
            "source": "crawl",
            "format": "warc",
            "scope": self._scope_digest,
            "base": base.model_dump() if base else None,
            "errors": errors,
            "stopped": visits.stopped or ("pages" if counts["left"] else ""),
        }
        return Harvest(files, (), {**counts, "bytes": visits.bytes}, details)

    def _info(self) -> bytes:
        return record.warcinfo(
            date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            software=f"nightshift {version('nightshift')}, scrapy {version('scrapy')}",
            user_agent=self._params.user_agent,
            partition=f"{self._target.context.corpus.corpus} {self._target.partition}",
        )


async def _end_what_is_left(crawler: Crawler) -> None:
    """End what the library leaves of a cancelled crawl, while there is a loop to end it on.

    Left to the end of the loop its tasks and connections would be what the log says last, and at most length.
    """
    for _ in range(_ROUNDS):
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            break
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1)
    await crawler.signals.send_catch_log_async(signals.engine_stopped)  # whereat its download handlers close


class _Bridge(logging.Handler):
    """What the libraries warn of, as events of this step."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.warning("library", logger=record.name, message=record.getMessage())
