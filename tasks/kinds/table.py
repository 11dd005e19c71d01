"""``table``: rows of typed columns, from CSV, Parquet or JSONL: numbers, categories, and a target among them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tasks.kinds.base import EQUAL, KINDS, Bound, Drift, Kind, Likeness, Rate, Row
from tasks.section import Section

if TYPE_CHECKING:
    import pyarrow as pa

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
_ROW = "row"


class Column(Section):
    """What a cell of one column may be; a row with another is rejected, and its reason says which."""

    type: Literal["number", "category"] = Field("number", description="number, or category: one of some names")
    min: float | None = Field(None, description="of a number, the least there may be")
    max: float | None = Field(None, description="of a number, the most there may be")
    values: tuple[str, ...] | None = Field(None, description="of a category, the names there may be; any by default")
    required: bool = Field(False, description="a row without it is rejected; else what is missing lies at the mean")

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if self.type == "category" and (self.min is not None or self.max is not None):
            raise ValueError("min, max: of a number; a category has values")
        if self.type == "number" and self.values is not None:
            raise ValueError("values: of a category; a number has min and max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


class TableParams(Section):
    """What a row is made of."""

    columns: dict[str, Column] = Field(min_length=1, description="column to its type and range; others are not read")
    target: str | None = Field(None, description="the column that a model is to say, which every row must have")
    max_faulty: float = Field(
        0.05, ge=0, le=1, description="rows with a cell of the wrong type or out of its range, of all, at gate clean"
    )
    max_drift: float | None = Field(
        0.5,
        gt=0,
        description="how far the mean of a number may move from the last good partitions', in their deviations, and "
        "how far the share of missing cells; at gate clean, from `gates.clean.rates_from` rows on. null: any",
    )

    @model_validator(mode="after")
    def _has_its_target(self) -> Self:
        if self.target is not None and self.target not in self.columns:
            raise ValueError(f"target {self.target!r} is none of the columns: {', '.join(self.columns)}")
        if self.target is not None and len(self.columns) == 1:
            raise ValueError("there is no column beside the target to tell it from")
        return self


@KINDS.register("table")
class Table(Kind):
    """Rows of numbers and categories: measurements, prices, events. The target becomes the row's label."""

    Params: ClassVar[type[Section]] = TableParams
    labelled: ClassVar[bool] = False
    worded: ClassVar[bool] = False
    params: TableParams

    @property
    def fields(self) -> pa.Schema:
        import pyarrow as pa

        kinds = {"number": pa.float64(), "category": pa.string()}
        cells = [(name, kinds[column.type]) for name, column in self._features.items()]
        return pa.schema([(_ROW, pa.struct(cells))])

    @property
    def cells(self) -> tuple[str, ...]:
        return tuple(self.params.columns)

    @property
    def asked(self) -> tuple[str, ...]:
        return tuple(self._features)

    @property
    def likeness(self) -> Likeness:
        return EQUAL

    @property
    def _features(self) -> dict[str, Column]:
        return {name: column for name, column in self.params.columns.items() if name != self.params.target}

    def row(self, raw: Mapping[str, Any]) -> Row:
        if raw["content_type"] != "application/json":
            return Row(reason="content_type", value=raw["content_type"])
        given = json.loads(raw["body"])
        text = "; ".join(f"{name}={given[name]}" for name in self.params.columns if given.get(name) is not None)
        cells: dict[str, float | str | None] = {}
        for name, column in self.params.columns.items():
            # Of a row to be predicted the target is what nobody knows yet.
            wanted = column.required or (name == self.params.target and name in given)
            try:
                cells[name] = _cell(given.get(name), column)
            except ValueError as fault:
                reason, value = fault.args
                return Row(text, reason=reason, value=f"{name}={value}"[:200], detail=f"column {name}")
            if cells[name] is None and wanted:
                return Row(text, reason="missing", value=name, detail="a column that every row must have")
        features = {name: cells[name] for name in self._features}
        if all(value is None for value in features.values()):
            return Row(text, reason="empty", value="0", detail="no cell has a value")
        target = cells.get(self.params.target) if self.params.target else None
        said = json.dumps(cells, sort_keys=True, ensure_ascii=False)
        return Row(
            text,
            length=max(len(text), 1),
            digest=hashlib.sha256(said.encode()).hexdigest(),
            label=None if target is None else repr(target) if isinstance(target, float) else target,
            columns={_ROW: features},
        )

    @property
    def measured(self) -> tuple[str, ...]:
        return (_ROW,)

    def measures(self, rows: pa.Table) -> pa.Table:
        """Each column of a row by its name."""
        import pyarrow as pa

        cells = rows[_ROW].combine_chunks()
        flat = dict(zip(self._features, cells.flatten(), strict=True))
        return pa.table({_measure(name): values for name, values in flat.items()})

    def bounds(self) -> Sequence[Bound]:
        return [
            Bound(
                _measure(name),
                f"Cells of {name} that kind.table.columns.{name} does not allow. Clean again: these rows are older "
                "than the YAML's bounds.",
                least=column.min,
                most=column.max,
                values=column.values,
                optional=not column.required,
            )
            for name, column in self._features.items()
            if (column.min, column.max, column.values) != (None, None, None)
        ]

    def rates(self) -> Sequence[Rate]:
        return (
            Rate(
                "faulty_share",
                ("not_a_number", "out_of_range", "unknown_value", "missing", "malformed"),
                self.params.max_faulty,
                "More rows than kind.table.max_faulty have a cell of another type, out of its range, or lack one that "
                "they must have. The rejects say which column. Did the export change its units?",
            ),
        )

    def drifts(self) -> Sequence[Drift]:
        if self.params.max_drift is None:
            return ()
        return [
            Drift(
                _measure(name),
                self.params.max_drift,
                f"Column {name} is not what it was in the last good partitions (kind.table.max_drift). Did its unit or "
                "its source change? If the world did: nightshift release.",
            )
            for name, column in self._features.items()
            if column.type == "number"
        ]


def _measure(name: str) -> str:
    return f"column_{name}"


def _cell(value: Any, column: Column) -> float | str | None:
    """The value of a cell; None if there is none.

    Raises:
        ValueError: with a reason, and the value, of what the column does not allow.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in _MISSING):
        return None
    if column.type == "category":
        name = value if isinstance(value, str) else json.dumps(value)
        if column.values is not None and name not in column.values:
            raise ValueError("unknown_value", name)
        return name
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError("not_a_number", value) from None
    except OverflowError:  # a whole number of hundreds of digits
        raise ValueError("out_of_range", value) from None
    if math.isnan(number):
        return None
    least, most = column.min, column.max
    if math.isinf(number) or (least is not None and number < least) or (most is not None and number > most):
        raise ValueError("out_of_range", value)
    return number
