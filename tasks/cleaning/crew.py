"""Many children at one stream of batches, and the outcomes in the order of the input."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from tasks.cleaning.isolated import IsolatedRefiner
from tasks.cleaning.nursery import Nursery
from tasks.config.clean import Clean

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class Crew:
    """``workers`` child processes, each with a thread that feeds it.

    >>> with Crew(clean, workers=2, log=log) as crew:
    ...     for outcomes in crew.refine(batches):
    ...         ...
    """

    def __init__(self, clean: Clean, *, workers: int, log: FilteringBoundLogger) -> None:
        self._nursery = Nursery(clean.extraction)
        self._refiners = [IsolatedRefiner(clean, self._nursery, log) for _ in range(workers)]
        self._idle: queue.SimpleQueue[IsolatedRefiner] = queue.SimpleQueue()
        for refiner in self._refiners:
            self._idle.put(refiner)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="refine")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for refiner in self._refiners:
            refiner.stop()
        self._threads.shutdown(cancel_futures=True)
        for refiner in self._refiners:
            refiner.close()
        self._nursery.close()

    @property
    def peak_memory(self) -> int:
        """The most that the children held, in bytes: each one's peak, summed."""
        return sum(refiner.peak_memory for refiner in self._refiners)

    def refine(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Outcomes, batch by batch, in input order; so many batches are under way that no child waits."""
        under_way: deque[Future[pa.RecordBatch]] = deque()
        for batch in batches:
            under_way.append(self._threads.submit(self._one, batch))
            if len(under_way) > 2 * len(self._refiners):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()

    def _one(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        refiner = self._idle.get()
        try:
            return refiner.batch(batch)
        finally:
            self._idle.put(refiner)
