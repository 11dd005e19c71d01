"""Rows of a train split more or less often, by their label: for recipes that read rows as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Resampling = Literal["oversample", "undersample"]
DESCRIPTION = (
    "what makes rare labels count as much as common ones, in the train split alone: oversample (their rows again), "
    "undersample (fewer rows of common ones); null: nothing"
)
FEWEST = 20
"""Rows that the rarest label must have to be under-sampled to: each label keeps about as many, drawn row by row, and so
none at all with a chance of about exp(-20), one in 500 million."""


def resampled(
    batches: Iterable[pa.Table], rows: Mapping[str, int], way: Resampling | None, seed: int
) -> Iterator[pa.Table]:
    """The batches with about as many rows of each label: of ``oversample`` as the commonest has, of ``undersample`` as
    the rarest.

    ``rows`` counts the whole split by label. How often a row stays is a function of its uid and the seed, so it is the
    same whatever the sharding; labels that ``rows`` does not know stay as they are. No batch grows: rows that stay more
    often than once make more batches.
    """
    import numpy as np
    import pyarrow as pa

    if way is None or len(rows) < 2:
        yield from batches
        return
    level = max(rows.values()) if way == "oversample" else min(rows.values())
    wanted = {label: level / count for label, count in rows.items()}
    for batch in batches:
        ratios = np.array([wanted.get(label, 1.0) for label in batch["label"].to_pylist()])
        copies = (ratios + _drawn(batch["uid"].to_pylist(), seed)).astype(np.int64)
        ends, total = np.cumsum(copies), int(copies.sum())
        for begin in range(0, total, batch.num_rows or 1):
            places = np.arange(begin, min(begin + batch.num_rows, total))
            yield batch.take(pa.array(np.searchsorted(ends, places, side="right")))


def _drawn(uids: list[str], seed: int) -> np.ndarray:
    """A number of each uid, from 0 to below 1, so that a ratio's fraction is rounded up as often as it is large."""
    import numpy as np

    return np.array([crc32(f"{seed} {uid}".encode()) for uid in uids], np.float64) / 2**32
