"""Other thresholds for a shard that is clean already: from what was measured, nothing is extracted again.

A document whose measures stay within the new bounds (``tasks.cleaning.bounds``) is kept as it is, unread. Only the
others are judged again, by the filters themselves on the stored text: that gives the very reasons and values
that cleaning anew would. The same goes for the rejects of a changed filter, and of those behind it.

Where a filter changes texts, a document has the text behind it, and a reject the one that its filter was given. So
filters behind the last such one judge documents as ever; before it what was measured decides, if a bound is tighter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.cleaning.bounds import Bound, Decided, bounds
from tasks.cleaning.keys import Part, scan
from tasks.cleaning.output import Sink
from tasks.cleaning.refine import REJECT_CHARACTERS, Outcome, Refiner, shown
from tasks.config.clean import Clean
from tasks.filters.base import FILTERS, Document

TEXT_BEHIND = "the text is as the filters behind left it"
"""Detail of a reject that was a document when a tighter bound before a filter that changes texts dropped it."""


class Impossible(Exception):
    """What is stored does not tell how cleaning anew would decide; says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is judged again: the documents that break a bound, or, if any other parameter changed, all."""

    bounds: tuple[Bound, ...]
    everything: bool
    reasons: Mapping[str, int]
    """The filters whose rejects are judged again, and from which filter on: those before it saw another text."""
    start: int = 0
    """The filter from which on documents are judged again."""
    decided: tuple[Decided, ...] = ()
    """By filter, changed bounds before ``start``: documents that break one go unread."""

    @property
    def shown(self) -> tuple[Bound, ...]:
        """All changed thresholds."""
        return (*self._decided, *self.bounds)

    @property
    def tightens(self) -> bool:
        """Whether documents may go whose text is not the one that the filter was given."""
        return any(bound.tightens for bound in self._decided)

    @property
    def loosens(self) -> bool:
        """Whether rejects may come back that were dropped before the texts were changed."""
        return not all(bound.tightens for bound in self._decided)

    @property
    def _decided(self) -> list[Bound]:
        return [bound for each in self.decided for bound in each.bounds]


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
    names, wanted = [name for name, _ in before], [name for name, _ in after]
    for chain in (names, wanted):
        if len(set(chain)) < len(chain):
            raise Impossible(
                "a filter stands twice in clean.filters, and its rejects do not say which of the two it was"
            )
    if "language" not in names and "language" in wanted:
        raise Impossible("filter language is new, and how sure the language is was not kept")
    for name in dict.fromkeys([*names, *wanted]):
        if name not in FILTERS.names():
            raise Impossible(f"filter {name} is no more")
    changing = [place for place, name in enumerate(names) if _changes_text(name)]
    first, start = (changing[0], changing[-1] + 1) if changing else (len(names), 0)
    if names[:start] != wanted[:start] or any(map(_changes_text, wanted[start:])):
        raise Impossible(
            "filters that change texts, or stand before one, are others now, and no text before them is kept"
        )
    decided = [
        Decided(_decided(*before[place], after[place][1], place < first, names[start - 1]), clean.filters[place].params)
        for place in range(start)
        if before[place] != after[place]
    ]
    changed = [
        place for place in range(max(len(before), len(after))) if before[place : place + 1] != after[place : place + 1]
    ]
    reasons = dict.fromkeys(names[min(changed, default=first) : first], 0)
    behind = [place for place in changed if place >= start]
    reasons |= dict.fromkeys(names[min(behind, default=len(names)) :], start)
    found: list[Bound] = []
    everything = names != wanted
    if not everything:
        for place in behind:
            some = bounds(before[place][0], before[place][1], after[place][1])
            everything = everything or some is None
            found += some or []
    return Plan(tuple(found), everything, reasons, start, tuple(decided))


def _changes_text(name: str) -> bool:
    return getattr(FILTERS.get(name), "CHANGES_TEXT", False)


def _decided(name: str, old: Mapping[str, Any], new: Mapping[str, Any], intact: bool, changer: str) -> list[Bound]:
    """The bounds of a filter before ``changer``, the last that changes texts; ``intact``: its rejects may come back."""
    if _changes_text(name):
        raise Impossible(f"filter {name} changed, which changes texts, and what stood there before it is not kept")
    found = bounds(name, old, new)
    if found is None:
        raise Impossible(
            f"more than the bounds of filter {name} changed, and it was given texts that {changer} behind it changed"
        )
    if not intact and not all(bound.tightens for bound in found):
        raise Impossible(f"filter {name} drops less than before, and the texts that it dropped were changed before it")
    return found


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
        gone: dict[int, tuple[Bound, float]] = {}
        for each in self._plan.decided:
            gone = each.broken(rows) | gone
        again = np.full(rows.num_rows, self._plan.everything)
        for bound in self._plan.bounds:
            again |= bound.breaks(rows.column(bound.column).to_numpy(zero_copy_only=False))
        return self._outcomes(
            rows, {row: self._plan.start for row in np.flatnonzero(again).tolist() if row not in gone}, gone
        )

    def rejects(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        again: dict[int, int] = {}
        for row, reason in enumerate(rows.column("reason").to_pylist()):
            if reason == "crash" and rows.column("text")[row].as_py():
                raise Impossible("a filter crashed on a page, and it may be spared that filter now")
            name, dot, _ = reason.partition(".")
            if not dot or name not in self._plan.reasons:
                continue
            if rows.column("detail")[row].as_py() == TEXT_BEHIND:
                if self._plan.loosens:
                    raise Impossible("a page that `nightshift filter` dropped has its text as other filters left it")
                continue
            if len(rows.column("text")[row].as_py()) >= REJECT_CHARACTERS:
                raise Impossible(f"of a rejected page only the first {REJECT_CHARACTERS:,} characters were kept")
            again[row] = self._plan.reasons[name]
        return self._outcomes(rows, again, {})

    def _outcomes(
        self, rows: pa.RecordBatch, again: Mapping[int, int], gone: Mapping[int, tuple[Bound, float]]
    ) -> pa.RecordBatch:
        """The rows in order, those of ``again`` judged anew from a filter on, those of ``gone`` dropped."""
        schema = self._refiner.schema
        place = rows.schema.get_field_index("timestamp")
        rows = rows.set_column(place, "timestamp", rows.column(place).cast(pa.int64()))
        fresh = np.array(sorted([*again, *gone]), np.int64)
        judged = [
            self._judged(row, again[number]) if number in again else self._dropped(row, *gone[number])
            for number, row in zip(fresh.tolist(), rows.take(pa.array(fresh)).to_pylist(), strict=True)
        ]
        self.again += len(again)
        same = np.setdiff1d(np.arange(rows.num_rows), fresh)
        old = rows.take(pa.array(same))
        columns = [
            old.column(field.name).cast(field.type)
            if field.name in old.schema.names
            else pa.nulls(old.num_rows, field.type)
            for field in schema
        ]
        both = [pa.RecordBatch.from_arrays(columns, schema=schema), pa.RecordBatch.from_pylist(judged, schema=schema)]
        order = np.argsort(np.concatenate([same, fresh]))
        return pa.concat_batches(both).take(pa.array(order))

    def _judged(self, row: dict[str, Any], start: int) -> dict[str, Any]:
        outcome = self._refiner.judge(_document(row), start)
        if start and outcome.reason is None:
            if row.get("reason") is not None:
                raise Impossible(
                    "a page comes back, and what the filters before the changed ones measured was not kept"
                )
            outcome.measured = {key: row[key] for key in self._refiner.measures(start)} | outcome.measured
        return self._refiner.row(outcome, row["timestamp"], row["group"])

    def _dropped(self, row: dict[str, Any], bound: Bound, value: float) -> dict[str, Any]:
        outcome = Outcome(_document(row), bound.reason, shown(value), TEXT_BEHIND)
        return self._refiner.row(outcome, row["timestamp"], row["group"])


def _document(row: Mapping[str, Any]) -> Document:
    score = row["language_score"] if "language_score" in row else row.get("m_language_score")
    return Document(
        uid=row["uid"],
        url=row["url"],
        text=row["text"],
        language=row["language"],
        language_score=score or 0.0,
        title=row["title"],
        label=row["label"],
    )


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
