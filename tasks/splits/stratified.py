"""By label: every label in the wished shares. Resolved at the snapshot."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from tasks.section import Section
from tasks.splits.base import STRATEGIES, Ratios, cut

if TYPE_CHECKING:
    import pyarrow as pa


class StratifiedParams(Section):
    """Nothing to set."""


@STRATEGIES.register("stratified")
class Stratified:
    """Within each label, in the order of a seeded hash of the uid."""

    Params = StratifiedParams
    frozen = False

    def __init__(self, params: StratifiedParams, ratios: Ratios, seed: int) -> None:
        self._ratios = ratios
        self._seed = seed

    def assign(self, documents: pa.Table) -> pa.Array:
        import pyarrow as pa

        uids = documents["uid"].to_pylist()
        rows: dict[str | None, list[int]] = defaultdict(list)
        for row, label in enumerate(documents["label"].to_pylist()):
            rows[label].append(row)
        splits: list[str] = [""] * len(uids)
        for members in rows.values():
            members.sort(key=lambda row: hashlib.sha256(f"{self._seed}:{uids[row]}".encode()).digest())
            for row, split in zip(members, cut(range(len(members)), self._ratios).to_pylist(), strict=True):
                splits[row] = split
        return pa.array(splits, pa.string())
