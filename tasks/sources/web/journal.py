"""What a crawl has committed so far, on the store beside the partition, until the partition is.

A segment is a WARC file and one journal object, written after it, that tells what became of each URL.
Whatever moment a crawl is killed at, the next attempt replays the journal and visits only the rest.
"""

from __future__ import annotations

import gzip
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.catalog import FileEntry
from tasks.errors import NotFound
from tasks.sources.web.outcome import Outcome
from tasks.store import Store


class Base(BaseModel):
    """The earlier partition whose state of the site a crawl builds on."""

    model_config = ConfigDict(frozen=True)
    folder: str
    digest: str


class Start(BaseModel):
    """What must be the same in every attempt at one partition."""

    model_config = ConfigDict(frozen=True)
    config: str
    base: Base | None


class Head(BaseModel):
    """The first line of a segment's journal object."""

    model_config = ConfigDict(frozen=True)
    warc: FileEntry | None
    bytes: int
    seconds: float
    """Crawl time since the segment before."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One committed stretch of a crawl."""

    head: Head
    outcomes: Sequence[Outcome]


class Journal:
    """The segments of one partition's crawl under ``<folder>/journal/``."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._prefix = f"{folder}/journal/"
        # Two attempts may overlap for a while: neither may overwrite the other's segments.
        self._attempt = secrets.token_hex(4)
        self._next = 0

    def started(self) -> Start | None:
        """How the crawl began, or None if there is none under way."""
        try:
            return Start.model_validate_json(self._store.read(f"{self._prefix}start.json"))
        except NotFound:
            return None

    def start(self, start: Start) -> None:
        """Begin a crawl; before its first visit."""
        self._store.write(f"{self._prefix}start.json", start.model_dump_json().encode())

    def clear(self) -> None:
        """Forget everything; the start last, so that half a removal is removed again."""
        keys = [info.key for info in self._store.list(self._prefix)]
        for key in sorted(keys, key=lambda name: name.endswith("start.json")):
            self._store.delete(key)

    def append(self, head: Head, outcomes: Path) -> None:
        """Commit a segment: ``outcomes`` holds one JSON object a line."""
        body = head.model_dump_json().encode() + b"\n" + outcomes.read_bytes()
        key = f"{self._prefix}{self._next:06d}-{self._attempt}.jsonl.gz"
        self._store.write(key, gzip.compress(body, 6, mtime=0))
        self._next += 1

    def replay(self, continues: Callable[[Sequence[Outcome]], bool]) -> Iterator[Segment]:
        """The committed segments in order, without those that do not continue the ones before them.

        ``continues`` judges a segment's outcomes; a segment fails when another attempt, not yet dead,
        committed the same visits at the same time.
        """
        keys = [info.key for info in self._store.list(self._prefix) if info.key.endswith(".jsonl.gz")]
        for key in keys:
            lines = gzip.decompress(self._store.read(key)).splitlines()
            outcomes = [Outcome.from_json(json.loads(line)) for line in lines[1:]]
            self._next = max(self._next, int(key.removeprefix(self._prefix)[:6]) + 1)
            if continues(outcomes):
                yield Segment(Head.model_validate_json(lines[0]), outcomes)


def line_of(outcome: Outcome) -> bytes:
    """One outcome as a line of a segment's journal object."""
    value: dict[str, Any] = outcome.to_json()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
