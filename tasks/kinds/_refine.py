"""Raw documents to rows of a kind that is not made of pages: what all such kinds share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow as pa

from tasks.cleaning.schema import outcomes
from tasks.kinds.base import Row

if TYPE_CHECKING:
    from tasks.config.clean import Clean
    from tasks.kinds.base import Kind

_REJECTED = 1_000_000
"""So many characters of a rejected text are kept."""


class RowRefiner:
    """Cleans the documents of one kind as one corpus's ``clean`` section says; the twin of
    ``tasks.cleaning.refine.Refiner``."""

    def __init__(self, kind: Kind, clean: Clean) -> None:
        self._kind = kind
        self._labels = [(re.compile(rule.pattern), rule.label) for rule in clean.labels]
        self.schema = outcomes(clean)

    def batch(self, raws: pa.RecordBatch, begin: Callable[[int], object] = lambda row: None) -> pa.RecordBatch:
        """Outcomes of a batch of the schema ``RAW``, in order; ``begin`` is told each row before its turn."""
        rows = []
        for index, raw in enumerate(raws.to_pylist()):
            begin(index)
            rows.append(self._row(raw, self._refined(raw)))
        return pa.RecordBatch.from_pylist(rows, schema=self.schema)

    def _refined(self, raw: Mapping[str, Any]) -> Row:
        if raw["fault"]:
            return Row(reason=raw["fault"], value=raw["value"])
        try:
            return self._kind.row(raw)
        except MemoryError:
            raise
        # Decoders raise what they like; whatever it is, it costs this one document.
        except Exception as error:  # noqa: BLE001
            return Row(reason="crash", value=type(error).__name__, detail=str(error)[:500])

    def _row(self, raw: Mapping[str, Any], row: Row) -> dict[str, Any]:
        text = row.text if row.reason is None else row.text[:_REJECTED]
        return {
            "uid": raw["uid"],
            "url": raw["url"],
            "text": text,
            "label": row.label or raw["label"] or self._label(raw["via"] or raw["url"]),
            "language": raw["language"] or row.language,
            "length": len(row.text) if row.length is None else row.length,
            "title": raw["title"] or "",
            "timestamp": raw["timestamp"],
            "digest": row.digest or hashlib.sha256(text.encode()).hexdigest(),
            "group": raw["group"] if raw["group"] is not None else _host(raw["url"]),
            "reason": row.reason,
            "value": row.value,
            "detail": row.detail,
            **row.columns,
        }

    def _label(self, url: str) -> str | None:
        for pattern, label in self._labels:
            if found := pattern.search(url):
                return label if label is not None else found["label"]
        return None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
