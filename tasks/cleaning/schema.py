"""The columns of everything that cleaning reads, passes on and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from tasks.filters.base import FILTERS
from tasks.kinds.base import kind_of

if TYPE_CHECKING:
    from tasks.config.clean import Clean

_TIME = pa.timestamp("us", tz="UTC")

RAW = pa.schema(
    [
        ("uid", pa.string()),
        ("url", pa.string()),
        ("timestamp", _TIME),
        ("body", pa.binary()),
        ("content_type", pa.string()),
        ("charset", pa.string()),
        ("title", pa.string()),
        ("label", pa.string()),
        ("language", pa.string()),
        ("group", pa.string()),
        ("fault", pa.string()),
        ("value", pa.string()),
        ("via", pa.string()),
    ]
)

_DOCUMENT = [
    ("uid", pa.string()),
    ("url", pa.string()),
    ("text", pa.string()),
    ("label", pa.string()),
    ("language", pa.string()),
    ("length", pa.int64()),
    ("title", pa.string()),
    ("timestamp", _TIME),
    ("digest", pa.string()),
    ("group", pa.string()),
]
_VERDICT = [("reason", pa.string()), ("value", pa.string()), ("detail", pa.string())]

REJECTS = pa.schema(
    [("uid", pa.string()), ("url", pa.string()), *_VERDICT, ("text", pa.string()), ("timestamp", _TIME)]
)
SHARD_REJECTS = pa.schema(
    [
        *REJECTS,
        ("place", pa.int64()),
        ("label", pa.string()),
        ("language", pa.string()),
        ("language_score", pa.float64()),
        ("title", pa.string()),
        ("group", pa.string()),
    ]
)
"""A shard's rejects: with all it takes to judge them again, and ``place``, their row in the shard's input."""
DELETIONS = pa.schema([("uid", pa.string()), ("url", pa.string()), ("timestamp", _TIME)])


def measures(clean: Clean) -> list[str]:
    """Names of the columns of measured values, in the order of the filters."""
    names = [f"m_{c.name}_{name}" for c in clean.filters for name in FILTERS.get(c.name).MEASURES]
    return list(dict.fromkeys(names))


def documents(clean: Clean) -> pa.Schema:
    """Columns of kept documents under this configuration."""
    return pa.schema([*_DOCUMENT, *kind_of(clean).fields, *((name, pa.float64()) for name in measures(clean))])


def outcomes(clean: Clean) -> pa.Schema:
    """Columns of documents and rejects together: ``reason`` is null for what is kept."""
    return pa.schema([*documents(clean), *_VERDICT, ("language_score", pa.float64())])
