"""By the hash of the document's uid: a document never moves, whatever else arrives."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tasks.section import Section
from tasks.splits.base import SPLITS, STRATEGIES, Ratios

if TYPE_CHECKING:
    import pyarrow as pa


class HashParams(Section):
    """Nothing to set: ``split.seed`` and ``split.ratios`` say it all."""


@STRATEGIES.register("hash")
class Hash:
    """Each document by itself, in the long run in the wished shares."""

    Params = HashParams
    frozen = True

    def __init__(self, params: HashParams, ratios: Ratios, seed: int) -> None:
        self._ratios = ratios
        self._seed = seed

    def assign(self, documents: pa.Table) -> pa.Array:
        import pyarrow as pa

        return pa.array(by_hash(documents["uid"].to_pylist(), self._ratios, self._seed), pa.string())


def by_hash(keys: Iterable[str], ratios: Ratios, seed: int) -> list[str]:
    """A split for each key: where the key's hash falls on the line from 0 to 1 that ``ratios`` divide."""
    bounds = (ratios.train, ratios.train + ratios.validation)
    return [SPLITS[bisect_right(bounds, _position(f"{seed}:{key}"))] for key in keys]


def _position(text: str) -> float:
    """A number in [0, 1), uniform over texts: the first 8 bytes of their sha256."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
