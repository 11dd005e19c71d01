"""By time: the oldest documents train, the newest test. Resolved at the snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.section import Section
from tasks.splits.base import STRATEGIES, Ratios, cut

if TYPE_CHECKING:
    import pyarrow as pa


class TimeParams(Section):
    """Nothing to set."""


@STRATEGIES.register("time")
class Time:
    """In order of ``timestamp`` (ties by uid; documents without one are the oldest)."""

    Params = TimeParams
    frozen = False

    def __init__(self, params: TimeParams, ratios: Ratios, seed: int) -> None:
        self._ratios = ratios

    def assign(self, documents: pa.Table) -> pa.Array:
        times = documents["timestamp"].cast("int64").to_pylist()
        uids = documents["uid"].to_pylist()
        order = sorted(range(len(uids)), key=lambda i: (times[i] is not None, times[i] or 0, uids[i]))
        return cut(order, self._ratios)
