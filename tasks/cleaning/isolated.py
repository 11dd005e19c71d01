"""Refine batches in a child process that may die: a poison page costs itself, never its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from tasks.cleaning.child import Child, Lost
from tasks.cleaning.nursery import Nursery
from tasks.config.clean import Clean
from tasks.kinds.base import kind_of

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class IsolatedRefiner:
    """``Refiner.batch`` in a child of its own, started when first needed and again after each death.

    The child notes each row before its turn, so its death names a suspect. A suspect is condemned only
    if it also kills a fresh child that has seen nothing else; its neighbours are run again without it.
    So neither a child worn out by earlier pages, nor a moment of a virtual machine that its host took
    away and counted as the page's, makes a reject. One caller at a time.
    """

    def __init__(self, clean: Clean, nursery: Nursery, log: FilteringBoundLogger) -> None:
        self._clean = clean
        self._nursery = nursery
        self._log = log
        self._refiner = kind_of(clean).refiner(clean)
        self._child: Child | None = None
        self._closed = False
        self.peak_memory = 0
        """The most that any of its children held, in bytes."""

    def batch(self, raws: pa.RecordBatch) -> pa.RecordBatch:
        """Outcomes of a batch of the schema ``RAW``, one for each row, in order."""
        try:
            return self._exchange(raws)
        except Lost as lost:
            suspect = raws.slice(lost.row, 1)
            parts = [
                *self._unless_empty(raws.slice(0, lost.row)),
                self._alone(suspect),
                *self._unless_empty(raws.slice(lost.row + 1)),
            ]
        return pa.concat_batches(parts)

    def stop(self) -> None:
        """Let a ``batch`` under way in another thread, and every later one, fail."""
        self._closed = True
        if child := self._child:
            child.kill()

    def close(self) -> None:
        """End the child. No ``batch`` may be under way: ``stop``, and wait for it."""
        self._end_child()

    def _unless_empty(self, raws: pa.RecordBatch) -> list[pa.RecordBatch]:
        return [self.batch(raws)] if raws.num_rows else []

    def _alone(self, suspect: pa.RecordBatch) -> pa.RecordBatch:
        self._end_child()
        try:
            return self._exchange(suspect)
        except Lost as lost:
            return self._condemned(suspect, lost)

    def _condemned(self, suspect: pa.RecordBatch, lost: Lost) -> pa.RecordBatch:
        verdict = {"fault": lost.reason, "value": lost.value}
        for name, value in verdict.items():
            position = suspect.schema.get_field_index(name)
            suspect = suspect.set_column(position, suspect.schema.field(name), pa.array([value]))
        # A document with a fault is rejected by it unseen, so this is safe here.
        rejected: pa.RecordBatch = self._refiner.batch(suspect)
        self._log.warning("page rejected", url=suspect.column("url")[0].as_py(), **verdict, said=lost.said)
        return rejected

    def _exchange(self, raws: pa.RecordBatch) -> pa.RecordBatch:
        if self._closed:
            raise RuntimeError("refining was stopped")
        if self._child is None:
            self._child = Child(self._clean, self._nursery)
        child = self._child
        try:
            return child.exchange(raws)
        except Lost:
            self._end_child()
            raise
        finally:
            self.peak_memory = max(self.peak_memory, child.peak_memory)

    def _end_child(self) -> None:
        if self._child:
            self._child.end()
            self._child = None
