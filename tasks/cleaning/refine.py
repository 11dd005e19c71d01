"""One raw document to a clean one, or to the reason why not.

A pure function of document and configuration, row by row over Arrow batches: the same code runs in a
child process, in the caller's own, or under an engine that maps batches.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from tasks.cleaning.schema import outcomes
from tasks.config.clean import Clean
from tasks.filters.base import FILTERS, Document
from tasks.text.decode import decode, unreadable
from tasks.text.extract import MODES, Extracted
from tasks.text.language import identify
from tasks.text.normalise import stripper, tidy

REJECT_CHARACTERS = 1_000_000
"""So much of a rejected text is kept."""

_HTML = frozenset({"text/html", "application/xhtml+xml", "application/xml", "text/xml"})
_PLAIN = frozenset({"text/plain", "text/markdown"})
_TAG = re.compile(rb"<(?:!doctype|html|head|body|title|meta|div|p|a|table|h[1-6]|script|span)\b", re.IGNORECASE)
_UNREADABLE_SHARE = 0.05
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")
"""Of an object in memory, in the text of an exception: another one in every run."""


@dataclass(slots=True)
class Outcome:
    """A document; rejected if ``reason`` is set."""

    document: Document
    reason: str | None = None
    value: str = ""
    detail: str = ""
    measured: dict[str, float] = field(default_factory=dict)


class Refiner:
    """Cleans documents as one corpus's ``clean`` section says."""

    def __init__(self, clean: Clean) -> None:
        self._extract: Callable[[str], Extracted] = MODES[clean.extraction]
        self._form = clean.normalise
        self._strips = bool(clean.strip)
        self._strip = stripper(clean.strip)
        self._labels = [(re.compile(rule.pattern), rule.label) for rule in clean.labels]
        self._filters = [(c.name, FILTERS.get(c.name)(c.params)) for c in clean.filters]
        # Of a kept document the score is known only where a filter measures it, so of a reject no more is kept.
        self._scores = any(c.name == "language" for c in clean.filters)
        self.schema = outcomes(clean)

    def batch(self, raws: pa.RecordBatch, begin: Callable[[int], object] = lambda row: None) -> pa.RecordBatch:
        """Outcomes of a batch of the schema ``RAW``, in order; ``begin`` is told each row before its turn."""
        rows = []
        for index, raw in enumerate(_rows(raws)):
            begin(index)
            rows.append(self.row(self.refine(raw), raw["timestamp"], raw["group"]))
        return pa.RecordBatch.from_pylist(rows, schema=self.schema)

    def refine(self, raw: dict[str, Any]) -> Outcome:
        """What becomes of one raw document; an exception of a parser or filter is its reject, ``crash``."""
        document = Document(uid=raw["uid"], url=raw["url"], text="", title=raw["title"] or "", label=raw["label"])
        if raw["fault"]:
            return Outcome(document, raw["fault"], raw["value"])
        _load()
        try:
            return self._refine(raw, document)
        except MemoryError:
            raise
        # Parsers and filters raise what they like; whatever it is, it costs this one page.
        except Exception as error:  # noqa: BLE001
            return _crashed(document, error)

    def judge(self, document: Document, start: int = 0) -> Outcome:
        """What the filters alone, from place ``start`` on, say about a text that is clean already."""
        _load()
        try:
            return self._judge(document, start)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # as above
            return _crashed(document, error)

    def _refine(self, raw: dict[str, Any], document: Document) -> Outcome:
        kind = _kind(raw["content_type"], raw["body"])
        if kind is None:
            return Outcome(document, "content_type", raw["content_type"])
        text = decode(raw["body"], raw["charset"])
        noise = unreadable(text)
        if noise > _UNREADABLE_SHARE:
            return Outcome(document, "undecodable", shown(noise), "share of characters that no text has")
        if kind == "html":
            page = self._extract(text)
            document.title, text = document.title or tidy(page.title, self._form), page.text
        text = tidy(text, self._form)
        document.text = tidy(self._strip(text), self._form) if self._strips else text
        if not document.text:
            return Outcome(document, "empty", "0", "no text is left of the page")
        document.label = document.label or self._label(document.url)
        said = raw["language"]
        document.language, document.language_score = (said, 1.0) if said else identify(document.text)
        return self._judge(document)

    def measures(self, end: int) -> list[str]:
        """The columns of what the filters before place ``end`` measure."""
        return [f"m_{name}_{measure}" for name, judge in self._filters[:end] for measure in judge.MEASURES]

    def _judge(self, document: Document, start: int = 0) -> Outcome:
        measured: dict[str, float] = {}
        for name, judge in self._filters[start:]:
            verdict = judge.judge(document)
            if verdict.reason is not None:
                return Outcome(document, f"{name}.{verdict.reason}", shown(verdict.value))
            measured.update((f"m_{name}_{measure}", value) for measure, value in verdict.measured.items())
            if verdict.text is not None and not verdict.text.strip():
                return Outcome(document, "empty", "0", f"filter {name} left no text")
            if verdict.text is not None and verdict.text != document.text:
                document.text = verdict.text
                document.cache.clear()
        return Outcome(document, measured=measured)

    def _label(self, url: str) -> str | None:
        for pattern, label in self._labels:
            if found := pattern.search(url):
                return label if label is not None else found["label"]
        return None

    def row(self, outcome: Outcome, timestamp: int, group: str | None) -> dict[str, Any]:
        """The row of ``schema``; ``timestamp`` in microseconds, ``group`` as the source or the URL's host has it."""
        document = outcome.document
        text = document.text if outcome.reason is None else document.text[:REJECT_CHARACTERS]
        return {
            "uid": document.uid,
            "url": document.url,
            "text": text,
            "label": document.label,
            "language": document.language,
            "length": len(document.text),
            "title": document.title,
            "timestamp": timestamp,
            "digest": hashlib.sha256(text.encode()).hexdigest(),
            "group": group if group is not None else _host(document.url),
            "reason": outcome.reason,
            "value": outcome.value,
            "detail": outcome.detail,
            "language_score": document.language_score if self._scores else None,
            **outcome.measured,
        }


@functools.cache
def _load() -> None:
    """Load what is compiled: not when a configuration is read, nor while a page is, which would be blamed for a failure
    and pay for the time."""
    for module in ("article", "lid", "ngrams", "tokens"):
        importlib.import_module(f"tasks.text.{module}")


def _crashed(document: Document, error: Exception) -> Outcome:
    return Outcome(document, "crash", type(error).__name__, _ADDRESS.sub("0x", str(error)[:500]))


def _rows(raws: pa.RecordBatch) -> list[dict[str, Any]]:
    # The time stays an integer: microseconds in, microseconds out.
    place = raws.schema.get_field_index("timestamp")
    numbered = raws.set_column(place, "timestamp", raws.column(place).cast(pa.int64()))
    rows: list[dict[str, Any]] = numbered.to_pylist()
    return rows


def _kind(content_type: str, body: bytes) -> str | None:
    """``html``, ``text``, or None for what is neither."""
    if content_type in _HTML:
        return "html"
    if content_type in _PLAIN:
        return "text"
    if content_type:
        return None
    return "html" if _TAG.search(body[:4096]) else "text"


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def shown(value: float | str) -> str:
    """A measured value, as a reject has it."""
    return value if isinstance(value, str) else f"{value:.6g}"
