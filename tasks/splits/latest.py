"""By each group's own time: a user's earliest events train, the latest test. Resolved at the snapshot."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tasks.section import Section
from tasks.splits.base import STRATEGIES, Ratios, cut
from tasks.splits.hash import by_hash

if TYPE_CHECKING:
    import pyarrow as pa


class LatestParams(Section):
    """Nothing to set: ``columns.group`` of the source names the group."""


@STRATEGIES.register("latest")
class Latest:
    """Within each ``group``, in order of ``timestamp`` (ties by a hash of the uid; what has none is the oldest).

    For recommendation: every user is in train, and what is asked for is what he did next. A group of one row has
    nothing to be asked for, so it trains; of small groups the shares come about over all of them, since each one's
    are rounded up or down by the hash of its name. A row without a group is a group of its own.
    """

    Params = LatestParams
    frozen = False

    def __init__(self, params: LatestParams, ratios: Ratios, seed: int) -> None:
        self._ratios = ratios
        self._seed = seed

    def assign(self, documents: pa.Table) -> pa.Array:
        import pyarrow as pa

        times = documents["timestamp"].cast("int64").to_pylist()
        uids = documents["uid"].to_pylist()
        rows: dict[str, list[int]] = defaultdict(list)
        for row, group in enumerate(documents["group"].to_pylist()):
            rows[group or f"\0{uids[row]}"].append(row)
        splits: list[str] = [""] * len(uids)
        for members in rows.values():
            members.sort(key=lambda row: (times[row] is not None, times[row] or 0, _drawn(uids[row], self._seed)))
            for row, split in zip(members, self._cut([uids[row] for row in members]), strict=True):
                splits[row] = split
        return pa.array(splits, pa.string())

    def _cut(self, uids: list[str]) -> list[str]:
        """A split for each row of one group, in its order; the first one trains."""
        if len(uids) >= _LARGE:
            named: list[str] = cut(range(len(uids)), self._ratios).to_pylist()
            return named
        drawn = by_hash(uids, self._ratios, self._seed)
        return ["train", *sorted(drawn[1:], key=_ORDER.__getitem__)]


_LARGE = 20
"""Rows from which on rounded shares are near the wished ones."""
_ORDER = {"train": 0, "validation": 1, "test": 2}


def _drawn(uid: str, seed: int) -> str:
    import hashlib

    return hashlib.sha256(f"{seed}:{uid}".encode()).hexdigest()
