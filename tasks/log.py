"""Structured log events, one line each, on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def configure(*, as_json: bool = False) -> None:
    """Send events to standard error: coloured on a terminal, else ``key=value`` or JSON."""
    renderer: structlog.typing.Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer()
    elif sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    else:
        renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


class Progress:
    """Says every ``every`` seconds how far a long piece of work has come: done, rate, time left."""

    def __init__(
        self, log: FilteringBoundLogger, unit: str, total: int | None = None, every: float | None = None
    ) -> None:
        """``unit`` is a key of the log's lines.

        Raises:
            ValueError: it is no word: the log would refuse the first line, which only long work comes to.
        """
        if not unit.isidentifier():
            raise ValueError(f"unit {unit!r} of a progress must be one word, as documents")
        self._log = log
        self._unit = unit
        self._total = total
        self._every = every if every is not None else (1.0 if sys.stderr.isatty() else 5.0)
        self._started = self._last = time.monotonic()
        self.done = 0

    def advance(self, count: int = 1, **also: object) -> None:
        """Count ``count`` more units, and log if it is time to, with ``also`` beside the figures."""
        self.done += count
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._say(now, also)

    def _say(self, now: float, also: dict[str, object]) -> None:
        rate = self.done / max(now - self._started, 1e-9)
        values: dict[str, object] = {self._unit: self.done, "per_second": round(rate, 1)}
        if self._total:
            values["of"] = self._total
            values["seconds_left"] = round(max(self._total - self.done, 0) / max(rate, 1e-9))
        self._log.info("progress", **values, **also)
