"""How many rows that judge a champion it was trained on: on those, its numbers flatter it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import NotFound
from tasks.parquet import batches
from tasks.splits.base import STRATEGIES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tasks.catalog import Manifest
    from tasks.step import Context
    from tasks.training.runs import Training


def trained_on(context: Context, training: Training, model: Manifest) -> dict[str, int] | None:
    """Rows of this snapshot's validation and test that ``model`` has seen in training, by split.

    None when the snapshot that the model was trained on is no longer there. A frozen split never moves
    a document, so then nothing is read.
    """
    made_of = model.details["snapshot"]
    try:
        before = context.catalog.at(f"snapshots/{model.corpus}/{made_of['id']}", made_of["digest"])
    except NotFound:
        return None
    now = training.snapshot
    frozen = STRATEGIES.get(training.corpus.split.strategy.name).frozen
    if before.digest() == now.digest() or (frozen and before.config == now.config):
        return {"validation": 0, "test": 0}
    seen = np.unique(_ids(context, before, "train"))
    return {split: int(np.isin(_ids(context, now, split), seen).sum()) for split in ("validation", "test")}


def _ids(context: Context, snapshot: Manifest, split: str) -> NDArray[np.uint64]:
    """The first 64 bits of each row's uid, a hash: 8 bytes a row, and for a count collisions are rare enough."""
    ids: list[NDArray[np.uint64]] = [np.empty(0, np.uint64)]
    with tempfile.TemporaryDirectory(prefix="nightshift-ids-") as scratch:
        for entry in snapshot.of_role(split):
            path = context.catalog.fetch(entry, Path(scratch) / "split.parquet")
            for table in batches(path, ["uid"]):
                heads = pc.utf8_slice_codeunits(table["uid"], 0, 16)
                numbers = pc.binary_join_element_wise("0x", heads, "").cast(pa.uint64())
                ids.append(numbers.to_numpy())
    return np.concatenate(ids)
