"""One worker's log, read again and again: each line once, whatever Kubernetes repeats."""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Iterator

_LEVEL = re.compile(r"\blevel=(\w+)")
_LEVELS = {"debug": logging.DEBUG, "warning": logging.WARNING, "error": logging.ERROR, "critical": logging.ERROR}
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT")
_OVERLAP = 2


class Tail:
    """How far a worker's log was read.

    Kubernetes takes a start in whole seconds before its own now; the stamp on each line (nanoseconds, growing)
    tells which ones were seen.
    """

    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.over = False
        self._last = ""
        self._equal = 0
        self._read_at: float | None = None

    def since(self) -> dict[str, int]:
        """The argument that asks for what is new, and a little more."""
        now, before = time.time(), self._read_at
        self._asked = now
        return {} if before is None else {"since_seconds": math.ceil(now - before) + _OVERLAP}

    def lines(self, text: bytes, *, whole: bool) -> Iterator[tuple[int, str]]:
        """(level, line) of each new line of what was read; unless ``whole``, a last line without its end waits."""
        if whole and text:
            self.over = True
        if not text:
            return
        self._read_at = self._asked
        again = 0
        rows = text.decode(errors="replace").split("\n")
        if rows[-1] and not whole:
            rows = rows[:-1]
        for row in rows:
            stamp, _, line = row.partition(" ")
            if not _STAMP.match(stamp) or stamp < self._last:
                continue  # without a stamp it is the kubelet speaking, of a log that is gone
            if stamp == self._last:
                again += 1
                if again <= self._equal:
                    continue
                self._equal += 1
            else:
                self._last, self._equal, again = stamp, 1, 1
            if line.strip():
                yield level_of(line), line


def level_of(line: str) -> int:
    """The level that a line of ours names; information otherwise."""
    found = _LEVEL.search(line)
    return _LEVELS.get(found[1], logging.INFO) if found else logging.INFO
