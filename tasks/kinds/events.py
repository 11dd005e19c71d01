"""``events``: somebody did something to an item: bought, read, imported it. What recommendations are learned from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from tasks.kinds.base import EQUAL, KINDS, Bound, Kind, Likeness, Rate, Row
from tasks.section import Section

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST = 1000
"""Characters of a name; a longer one is a text in the wrong column."""


class EventsParams(Section):
    """Which columns name who, and what."""

    user: str = Field("user", description="the column that names who did something")
    item: str = Field("item", description="the column that names what it was done to")
    max_faulty: float = Field(
        0.05, ge=0, le=1, description="rows that lack a user or an item, or cannot be read, of all, at gate clean"
    )

    @model_validator(mode="after")
    def _are_two(self) -> Self:
        if self.user == self.item:
            raise ValueError(f"user and item are the same column, {self.user!r}")
        return self


@KINDS.register("events")
class Events(Kind):
    """A user and an item a row. The same pair again is no news: the earliest of equal events is the one that stays."""

    Params: ClassVar[type[Section]] = EventsParams
    labelled: ClassVar[bool] = False
    worded: ClassVar[bool] = False
    params: EventsParams

    @property
    def fields(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema([("user", pa.string()), ("item", pa.string())])

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.params.user, self.params.item)

    @property
    def asked(self) -> tuple[str, ...]:
        """Of a row to be predicted only its user is known."""
        return (self.params.user,)

    @property
    def likeness(self) -> Likeness:
        return EQUAL

    def row(self, raw: Mapping[str, Any]) -> Row:
        if raw["content_type"] != "application/json":
            return Row(reason="content_type", value=raw["content_type"])
        given = json.loads(raw["body"])
        names: dict[str, str] = {}
        for column in self.cells:
            value = given.get(column)
            name = "" if value is None else str(value).strip()
            if not name and column in given:
                return Row(reason="missing", value=column, detail="every event has a user and an item")
            if len(name) > _LONGEST:
                return Row(reason="too_large", value=str(len(name)), detail=f"characters of {column}")
            names[column] = name
        user, item = names[self.params.user], names[self.params.item]
        return Row(
            f"{user}\t{item}".strip(),  # as two names: near-duplicates are found by the text
            digest=hashlib.sha256(f"{user}\0{item}".encode()).hexdigest(),
            columns={"user": user, "item": item},
        )

    @property
    def measured(self) -> tuple[str, ...]:
        return ("user", "item")

    def measures(self, rows: pa.Table) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        return pa.table({f"{name}_length": pc.utf8_length(rows[name]).cast(pa.float64()) for name in self.measured})

    def bounds(self) -> Sequence[Bound]:
        return [
            Bound(f"{name}_length", f"An event without {name}: nothing can be learned from it. Clean again.", least=1)
            for name in self.measured
        ]

    def rates(self) -> Sequence[Rate]:
        return (
            Rate(
                "faulty_share",
                ("missing", "malformed", "too_large"),
                self.params.max_faulty,
                "More rows than kind.events.max_faulty have no user, no item, or cannot be read. The rejects tell. "
                "Did the export rename a column?",
            ),
        )
