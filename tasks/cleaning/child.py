"""The parent's side of one refining child process: exchange batches with it, tell what killed it."""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import signal
import tempfile
import threading
import time

import pyarrow as pa

from tasks.cleaning.nursery import Nursery, tail
from tasks.cleaning.schema import RAW
from tasks.cleaning.worker import CONFIG, OUT_OF_MEMORY, STATE
from tasks.config.clean import Clean
from tasks.errors import NightshiftError

_STALL = 120.0
"""Seconds of wall-clock that a child may stay where it is, at least: a busy machine is no fault of a page."""
_STALL_TIMES = 6
"""A child at one row for so many times its processor time is not waiting for a processor: it is stuck."""


class Lost(Exception):
    """The child died at row ``row`` of a batch.

    ``reason`` is the reject's: ``timeout`` or ``crash``; ``value`` what was measured (seconds allowed,
    signal or exit code); ``said`` the end of what it wrote to standard error, for the log alone.
    """

    def __init__(self, row: int, reason: str, value: str, said: str) -> None:
        super().__init__(f"{reason} ({value}) at row {row}: {said}")
        self.row, self.reason, self.value, self.said = row, reason, value, said


class Child:
    """One running child. A child that raised ``Lost`` has ended and is of no more use."""

    def __init__(self, clean: Clean, nursery: Nursery) -> None:
        self._limit = clean.document_timeout.total_seconds()
        self._nursery = nursery
        self._reaping = threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `end`
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self._out, self._in = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb")
        with tempfile.TemporaryFile() as file:
            file.truncate(STATE.size)
            self._state = mmap.mmap(file.fileno(), STATE.size)
            STATE.pack_into(self._state, 0, -1, 0)
            try:
                self._pid: int | None = nursery.fork(theirs_in, theirs_out, self._errors.fileno(), file.fileno())
            finally:
                os.close(theirs_in)
                os.close(theirs_out)
        self._reader: pa.RecordBatchStreamReader | None = None
        self._writer = pa.ipc.new_stream(self._out, RAW.with_metadata({CONFIG: clean.model_dump_json().encode()}))

    @property
    def peak_memory(self) -> int:
        """The most memory that the child has held, in bytes, as of the last batch."""
        return int(STATE.unpack_from(self._state)[1])

    def exchange(self, raws: pa.RecordBatch) -> pa.RecordBatch:
        """Send a batch, wait for its outcomes.

        Raises:
            Lost: the child died at one of the rows.
            NightshiftError: it died at none of them, so none is to blame.
        """
        stuck = False
        try:
            self._writer.write_batch(raws)
            self._out.flush()
            stuck = not self._answers()
            if not stuck:
                if self._reader is None:
                    self._reader = pa.ipc.open_stream(self._in)
                return self._reader.read_next_batch()
        except (OSError, pa.ArrowInvalid, StopIteration):
            pass  # a broken pipe, or half a message: the child is dead or dying
        row = STATE.unpack_from(self._state)[0]
        said = tail(self._errors)
        code = self.end(kill=stuck)
        if row < 0:
            raise NightshiftError(f"a process that parses pages ended while it was at none ({_meaning(code)}): {said}")
        if stuck or code == -signal.SIGPROF:
            raise Lost(row, "timeout", f"{self._limit:g} s", said)
        raise Lost(row, "crash", _meaning(code), said)

    def kill(self) -> None:
        """Kill the child; an ``exchange`` under way in another thread raises ``Lost``. Safe at any time."""
        with self._reaping:
            if self._pid is not None:
                os.kill(self._pid, signal.SIGKILL)

    def end(self, *, kill: bool = True) -> int:
        """See the child dead and nothing of it left; returns its exit code."""
        code = 0
        with self._reaping:
            if self._pid is not None:
                code, self._pid = self._nursery.wait(self._pid, kill=kill), None
        for stream in (self._out, self._in, self._errors):
            with contextlib.suppress(OSError):  # bytes meant for a child that is dead
                stream.close()
        return code

    def _answers(self) -> bool:
        """Wait for the first byte of an answer, or the child's end; False when it is stuck."""
        row, since = -1, time.monotonic()
        while not select.select([self._in], [], [], 1.0)[0]:
            now, at = time.monotonic(), STATE.unpack_from(self._state)[0]
            if at != row:
                row, since = at, now
            elif now - since > max(_STALL, _STALL_TIMES * self._limit):
                return False
        return True


def _meaning(code: int) -> str:
    if code == OUT_OF_MEMORY:
        return "out of memory"
    if code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
