"""The whole way from raw documents to files: what a shard and a folder of WARC files have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tasks.cleaning.crew import Crew
from tasks.cleaning.output import Sink
from tasks.cleaning.raw import Gone, Raw, batches
from tasks.config.clean import Clean
from tasks.log import Progress

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


def run(
    items: Iterable[Raw | Gone],
    clean: Clean,
    sink: Sink,
    *,
    workers: int,
    log: FilteringBoundLogger,
    total: int | None = None,
) -> int:
    """Refine ``items`` in child processes and write what becomes of them; order in, order out.

    Returns the children's peak memory, in bytes.
    """

    def raws() -> Iterator[Raw]:
        for item in items:
            if isinstance(item, Gone):
                sink.delete([item])
            else:
                yield item

    progress = Progress(log, "documents", total)
    with Crew(clean, workers=workers, log=log) as crew:
        for outcomes in crew.refine(batches(raws())):
            sink.add(outcomes)
            progress.advance(outcomes.num_rows)
    return crew.peak_memory
