"""A raw document: what a source brought, before anybody looked inside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from tasks.cleaning.schema import RAW

BATCH_DOCUMENTS = 64
BATCH_BYTES = 4 << 20
"""A batch is closed by whichever comes first: enough to make its way through a pipe cheap, and little
enough that the batches under way fit in memory and a batch run anew costs next to nothing."""


@dataclass(frozen=True, slots=True)
class Raw:
    """One raw document. ``body`` is bytes as served; ``fault`` says why there are none."""

    uid: str
    url: str
    timestamp: datetime
    body: bytes = b""
    content_type: str = ""
    charset: str | None = None
    title: str | None = None
    label: str | None = None
    language: str | None = None
    """What the source says it is; identified where it says nothing."""
    group: str | None = None
    fault: str | None = None
    """The reason of the reject that this document is already."""
    value: str = ""
    """What was measured when it became one."""
    via: str | None = None
    """Of a crawled image the page that shows it."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A page that is no more (404 or 410)."""

    uid: str
    url: str
    timestamp: datetime


def uid_of(name: str) -> str:
    """The id (32 hex) of the document with this URL, or this id of its source's own."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def batches(raws: Iterable[Raw]) -> Iterator[pa.RecordBatch]:
    """Pack raw documents, in order, into record batches of the schema ``RAW``."""
    waiting: list[Raw] = []
    size = 0
    for raw in raws:
        waiting.append(raw)
        size += len(raw.body)
        if len(waiting) >= BATCH_DOCUMENTS or size >= BATCH_BYTES:
            yield _packed(waiting)
            waiting, size = [], 0
    if waiting:
        yield _packed(waiting)


def _packed(raws: list[Raw]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array([getattr(raw, field.name) for raw in raws], field.type) for field in RAW], schema=RAW
    )
