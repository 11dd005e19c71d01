"""The stretch of a crawl that is not committed yet, and how it is committed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from tasks.catalog import FileEntry
from tasks.sources.base import Target
from tasks.sources.crawl import SegmentParams
from tasks.sources.web.journal import Head, Journal, line_of
from tasks.sources.web.outcome import Outcome


class _Open:
    """A segment that grows on local disk."""

    def __init__(self, scratch: Path, number: int, info: bytes) -> None:
        self.warc = scratch / f"{number:06d}.warc.gz"
        self.outcomes = scratch / f"{number:06d}.jsonl"
        self._warc = self.warc.open("wb")
        self._outcomes = self.outcomes.open("wb")
        self._warc.write(info)
        self.records = self.visits = self.bytes = self.pages = 0
        self.since = time.monotonic()

    def add(self, outcome: Outcome, record: bytes | None) -> None:
        if record is not None:
            self._warc.write(record)
            self.records += 1
            self.pages += outcome.result == "page"
        self._outcomes.write(line_of(outcome))
        self.visits += 1
        self.bytes += outcome.bytes

    def close(self) -> None:
        self._warc.close()
        self._outcomes.close()


class Segments:
    """Takes outcomes and records, and commits them segment by segment while the crawl goes on."""

    def __init__(self, target: Target, journal: Journal, params: SegmentParams, info: Callable[[], bytes]) -> None:
        self._target = target
        self._journal = journal
        self._params = params
        self._info = info
        self._number = 0
        self._turn = asyncio.Lock()
        self._broken = False
        self._open = self._begin()
        self.files: list[FileEntry] = []

    def add(self, outcome: Outcome, record: bytes | None) -> None:
        """Take the end of one visit."""
        self._open.add(outcome, record)

    async def commit_if_due(self) -> None:
        """Commit the open segment if it has reached its size or age."""
        now, limits = self._open, self._params
        age = timedelta(seconds=time.monotonic() - now.since)
        if now.visits and (now.visits >= limits.pages or now.bytes >= limits.bytes or age >= limits.age):
            await self.commit()

    async def commit(self) -> None:
        """Commit what is there. Visits that end meanwhile go into the next segment."""
        done, self._open = self._open, self._begin()
        done.close()
        # One at a time and in order: links must be on the store before what was found through them.
        async with self._turn:
            if self._broken:
                return  # what lies behind a gap is worth nothing
            try:
                await asyncio.to_thread(self._store, done)
            except BaseException:
                self._broken = True
                raise

    def _begin(self) -> _Open:
        self._number += 1
        return _Open(self._target.scratch, self._number, self._info())

    def _store(self, done: _Open) -> None:
        if done.visits:
            warc = self._target.keep(done.warc, "warc", rows=done.pages) if done.records else None
            seconds = time.monotonic() - done.since
            self._journal.append(Head(warc=warc, bytes=done.bytes, seconds=seconds), done.outcomes)
            if warc is not None:
                self.files.append(warc)
            self._target.context.log.info("segment committed", visits=done.visits, bytes=done.bytes)
        done.warc.unlink(missing_ok=True)
        done.outcomes.unlink(missing_ok=True)
