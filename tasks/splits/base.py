"""The interface of a split strategy, and the registry of the ones there are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from pydantic import Field

from tasks.registry import Registry
from tasks.section import Section

if TYPE_CHECKING:
    import pyarrow as pa

SPLITS = ("train", "validation", "test")


class Ratios(Section):
    """Shares of the three splits; they sum to 1."""

    train: float = Field(ge=0, le=1, description="share that models learn from")
    validation: float = Field(ge=0, le=1, description="share that decides between models")
    test: float = Field(ge=0, le=1, description="share that is reported and decides nothing")


class Strategy(Protocol):
    """Assigns each document to a split.

    ``frozen`` strategies look at one document alone, so ingest applies them and a document never
    moves; the others see the whole snapshot (``ingest`` then publishes everything as ``unassigned``).
    """

    Params: ClassVar[type[Section]]
    frozen: ClassVar[bool]

    def __init__(self, params: Section, ratios: Ratios, seed: int) -> None: ...

    def assign(self, documents: pa.Table) -> pa.Array:
        """``documents`` has ``uid``, ``url``, ``label``, ``group``, ``timestamp``; returns one of
        ``SPLITS`` for each row."""


def cut(order: Sequence[int], ratios: Ratios) -> pa.Array:
    """Rows in the given order, cut into the three shares (rounded); a split for each row, by row number."""
    import pyarrow as pa

    count = len(order)
    ends = (round(count * ratios.train), round(count * (ratios.train + ratios.validation)), count)
    splits = [""] * count
    for position, row in enumerate(order):
        splits[row] = SPLITS[bisect_right(ends, position)]
    return pa.array(splits, pa.string())


STRATEGIES: Registry[type[Strategy]] = Registry("tasks.splits", kind="split strategy")
