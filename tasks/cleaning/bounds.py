"""Thresholds of filters that changed, and what the stored values say about them.

By convention a parameter ``min_<measure>`` or ``max_<measure>`` of a filter bounds that measure, both ends within, and
changes nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.filters.base import FILTERS

_BOUND = re.compile(r"(min|max)_(.+)")


@dataclass(frozen=True, slots=True)
class Bound:
    """One changed threshold."""

    filter: str
    measure: str
    lower: bool
    """Whether it is the least that is kept, or the most."""
    old: float | None
    new: float | None
    key: str
    item: str = ""
    """Of a parameter that is a number by key: which."""

    @property
    def column(self) -> str:
        return f"m_{self.filter}_{self.measure}"

    @property
    def reason(self) -> str:
        """Of the rejects by this threshold."""
        named = getattr(FILTERS.get(self.filter), "REASONS", {})
        return f"{self.filter}.{named.get(self.measure, self.measure)}"

    @property
    def tightens(self) -> bool:
        """Whether whatever it keeps was kept before."""
        if self.old is None or self.new is None:
            return self.old is None
        return self.new >= self.old if self.lower else self.new <= self.old

    def breaks(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values may be out of the new bound; one that lies on it is judged by the filter itself."""
        if self.new is None:
            return np.zeros(len(values), np.bool_)
        # Not a number: never measured, and so never passed.
        return ~(values > self.new) if self.lower else ~(values < self.new)


class Decided:
    """The changed thresholds of a filter, of which what it measured decides, whatever became of the text behind it."""

    def __init__(self, bounds: Sequence[Bound], params: Any) -> None:
        kind: Any = FILTERS.get(bounds[0].filter)
        # The reason is the rule that a filter comes to first.
        self.bounds = sorted(bounds, key=lambda bound: kind.MEASURES.index(bound.measure))
        self._params = params
        self._asks = getattr(kind, "asks", lambda params, measure, language: True)
        self._limits: dict[tuple[Bound, str], float] = {}

    def broken(self, rows: pa.RecordBatch) -> dict[int, tuple[Bound, float]]:
        """The documents that go: which bound each of them breaks, and with what."""
        found: dict[int, tuple[Bound, float]] = {}
        languages = rows.column("language").to_pylist()
        for bound in self.bounds:
            values = rows.column(bound.column).to_numpy(zero_copy_only=False)
            limits = np.array([self._limit(bound, language) for language in languages], np.float64)
            for row in np.flatnonzero(values < limits if bound.lower else values > limits).tolist():
                found.setdefault(row, (bound, float(values[row])))
        return found

    def _limit(self, bound: Bound, language: str) -> float:
        """The threshold for a language; not a number where there is none."""
        if (bound, language) not in self._limits:
            params = self._params.of(language) if hasattr(self._params, "of") else self._params
            value = params.model_dump(mode="json")[bound.key]
            value = value.get(bound.item) if bound.item else value
            asked = value is not None and self._asks(params, bound.measure, language)
            self._limits[bound, language] = float(value) if asked else float("nan")
        return self._limits[bound, language]


def bounds(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Bound] | None:
    """The changed thresholds of one filter; None when something else changed too."""
    found: list[Bound] = []
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) == new.get(key):
            continue
        match = _BOUND.fullmatch(key)
        pairs = _numbers(old.get(key), new.get(key))
        if match is None or pairs is None:
            return None
        for item, before, after in pairs:
            measure = f"{match[2]}_{item}" if item else match[2]
            if measure not in FILTERS.get(name).MEASURES:
                return None
            if before != after:
                found.append(Bound(name, measure, match[1] == "min", before, after, key, item))
    return found


def _numbers(old: Any, new: Any) -> list[tuple[str, float | None, float | None]] | None:
    """Pairs of numbers of one parameter, which may be a number by key; None for anything else."""
    if isinstance(old, dict) and isinstance(new, dict):
        keyed = [(str(key), old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new])]
    else:
        keyed = [("", old, new)]
    plain = (int, float, type(None))
    if any(isinstance(value, bool) or not isinstance(value, plain) for _, *pair in keyed for value in pair):
        return None
    return keyed
