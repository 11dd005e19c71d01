"""Other thresholds for a shard that is clean already: from what was measured, nothing is extracted again.

By convention a parameter ``min_<measure>`` or ``max_<measure>`` of a filter bounds that measure and changes
nothing else, so a document whose measure stays within the new bounds is kept as it is, unread. Only the
others are judged again, by the filters themselves on the stored text: that gives the very reasons and values
that cleaning anew would. The same goes for the rejects of a changed filter, and of those behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.cleaning.keys import Part, scan
from tasks.cleaning.output import Sink
from tasks.cleaning.refine import REJECT_CHARACTERS, Refiner
from tasks.config.corpus import Clean
from tasks.filters.base import FILTERS, Document

_BOUND = re.compile(r"(min|max)_(.+)")


class Impossible(Exception):
    """What is stored does not tell how cleaning anew would decide; says why."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One changed threshold."""

    filter: str
    measure: str
    lower: bool
    """Whether it is the least that is kept, or the most."""
    old: float | None
    new: float | None

    @property
    def column(self) -> str:
        return f"m_{self.filter}_{self.measure}"

    @property
    def reason(self) -> str:
        """Of the rejects by this threshold."""
        return f"{self.filter}.{self.measure}"

    def breaks(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which values may be out of the new bound; one that lies on it is judged by the filter itself."""
        if self.new is None:
            return np.zeros(len(values), np.bool_)
        # Not a number: never measured, and so never passed.
        return ~(values > self.new) if self.lower else ~(values < self.new)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is judged again: the documents that break a bound, or, if any other parameter changed, all."""

    bounds: tuple[Bound, ...]
    everything: bool
    reasons: frozenset[str]
    """The filters whose rejects are judged again."""


def plan(old: Sequence[Mapping[str, Mapping[str, Any]]], clean: Clean) -> Plan:
    """From the filters that a shard was cleaned with (as its manifest has them) to those of ``clean``.

    Raises:
        Impossible: what the new filters ask for was not measured.
    """
    before = [(name, params) for each in old for name, params in each.items()]
    after = [
        (name, params)
        for each in json.loads(clean.model_dump_json(include={"filters"}))["filters"]
        for name, params in each.items()
    ]
    names = [name for name, _ in before]
    for chain in (names, [name for name, _ in after]):
        if len(set(chain)) < len(chain):
            raise Impossible(
                "a filter stands twice in clean.filters, and its rejects do not say which of the two it was"
            )
    if "language" not in names and any(name == "language" for name, _ in after):
        raise Impossible("filter language is new, and how sure the language is was not kept")
    for name in dict.fromkeys([*names, *(name for name, _ in after)]):
        if name not in FILTERS.names():
            raise Impossible(f"filter {name} is no more")
        if getattr(FILTERS.get(name), "CHANGES_TEXT", False):
            raise Impossible(f"filter {name} changes texts, and what stood there before it is not kept")
    changed = [
        place for place in range(max(len(before), len(after))) if before[place : place + 1] != after[place : place + 1]
    ]
    first = changed[0] if changed else len(before)
    bounds: list[Bound] = []
    everything = names != [name for name, _ in after]
    if not everything:
        for place in changed:
            found = _bounds(before[place][0], before[place][1], after[place][1])
            everything = everything or found is None
            bounds += found or []
    return Plan(tuple(bounds), everything, frozenset(names[first:]))


def _bounds(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Bound] | None:
    """The changed thresholds of one filter; None when something else changed too."""
    found: list[Bound] = []
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) == new.get(key):
            continue
        match = _BOUND.fullmatch(key)
        pairs = _numbers(old.get(key), new.get(key))
        if match is None or pairs is None:
            return None
        for suffix, before, after in pairs:
            measure = match[2] + suffix
            if measure not in FILTERS.get(name).MEASURES:
                return None
            if before != after:
                found.append(Bound(name, measure, match[1] == "min", before, after))
    return found


def _numbers(old: Any, new: Any) -> list[tuple[str, float | None, float | None]] | None:
    """Pairs of numbers of one parameter, which may be a number by key; None for anything else."""
    if isinstance(old, dict) and isinstance(new, dict):
        keyed = [(f"_{key}", old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new])]
    else:
        keyed = [("", old, new)]
    plain = (int, float, type(None))
    if any(isinstance(value, bool) or not isinstance(value, plain) for _, *pair in keyed for value in pair):
        return None
    return keyed


def rejudge(part: Part, chosen: Plan, clean: Clean, sink: Sink) -> int:
    """Write the shard's rows to ``sink`` under the new filters, in their old order; how many were judged again.

    Raises:
        Impossible: a reject that must be judged again is not stored whole.
    """
    judge = _Judge(chosen, clean)
    places = np.concatenate(
        [np.empty(0, np.int64), *(batch.column("place").to_numpy() for batch in scan(part.rejects, ["place"]))]
    )
    # How many documents stand before each reject; the documents take the places that are left.
    before = places - np.arange(len(places))
    refused = _Rows(part.rejects)
    seen = taken = 0
    for documents in scan(part.documents):
        numbers = np.arange(seen, seen + documents.num_rows)
        seen += documents.num_rows
        reach = int(np.searchsorted(before, seen))
        rejects = refused.take(reach - taken)
        place = np.concatenate([numbers + np.searchsorted(before, numbers, side="right"), places[taken:reach]])
        taken = reach
        rows = pa.concat_batches([judge.documents(documents), *map(judge.rejects, rejects)])
        sink.add(rows.take(pa.array(np.argsort(place, kind="stable"))))
    for rejects in refused.take(len(places) - taken):
        sink.add(judge.rejects(rejects))
    return judge.again


class _Judge:
    """Rows of documents and rejects to outcomes under the new filters."""

    def __init__(self, chosen: Plan, clean: Clean) -> None:
        self._plan = chosen
        self._refiner = Refiner(clean)
        self.again = 0

    def documents(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        again = np.full(rows.num_rows, self._plan.everything)
        for bound in self._plan.bounds:
            again |= bound.breaks(rows.column(bound.column).to_numpy(zero_copy_only=False))
        return self._outcomes(rows, again)

    def rejects(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        again = np.zeros(rows.num_rows, np.bool_)
        for row, reason in enumerate(rows.column("reason").to_pylist()):
            name, dot, _ = reason.partition(".")
            again[row] = bool(dot) and name in self._plan.reasons
            if reason == "crash" and rows.column("text")[row].as_py():
                raise Impossible("a filter crashed on a page, and it may be spared that filter now")
        for text in rows.filter(pa.array(again)).column("text"):
            if len(text.as_py()) >= REJECT_CHARACTERS:
                raise Impossible(f"of a rejected page only the first {REJECT_CHARACTERS:,} characters were kept")
        return self._outcomes(rows, again)

    def _outcomes(self, rows: pa.RecordBatch, again: NDArray[np.bool_]) -> pa.RecordBatch:
        """The rows in order, those of ``again`` judged anew."""
        schema = self._refiner.schema
        place = rows.schema.get_field_index("timestamp")
        rows = rows.set_column(place, "timestamp", rows.column(place).cast(pa.int64()))
        judged = [self._judged(row) for row in rows.filter(pa.array(again)).to_pylist()]
        self.again += len(judged)
        same = rows.filter(pa.array(~again))
        columns = [
            same.column(field.name).cast(field.type)
            if field.name in same.schema.names
            else pa.nulls(same.num_rows, field.type)
            for field in schema
        ]
        both = [pa.RecordBatch.from_arrays(columns, schema=schema), pa.RecordBatch.from_pylist(judged, schema=schema)]
        order = np.argsort(np.concatenate([np.flatnonzero(~again), np.flatnonzero(again)]))
        return pa.concat_batches(both).take(pa.array(order))

    def _judged(self, row: dict[str, Any]) -> dict[str, Any]:
        score = row["language_score"] if "language_score" in row else row.get("m_language_score")
        document = Document(
            uid=row["uid"],
            url=row["url"],
            text=row["text"],
            language=row["language"],
            language_score=score or 0.0,
            title=row["title"],
            label=row["label"],
        )
        return self._refiner.row(self._refiner.judge(document), row["timestamp"], row["group"])


class _Rows:
    """The rows of files in order, so many at a time."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._batches = scan(paths)
        self._left: pa.RecordBatch | None = None

    def take(self, count: int) -> list[pa.RecordBatch]:
        found: list[pa.RecordBatch] = []
        while count:
            batch = self._left if self._left is not None and self._left.num_rows else next(self._batches)
            found.append(batch.slice(0, count))
            self._left = batch.slice(count)
            count -= found[-1].num_rows
        return found
