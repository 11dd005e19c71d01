"""What gate clean expects of the rows of a kind of data, as the kind says it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pyarrow as pa

from data_contracts.base import Contract, Subject, Table
from data_contracts.engine.rows import Rows
from tasks.kinds.base import Kind

if TYPE_CHECKING:
    import pandas as pd


class Measured(Rows):
    """Rows of ``uid`` and what a kind measures of each: the columns that it reads are let go at once."""

    def __init__(self, folder: Path, kind: Kind, *, buckets: int) -> None:
        self._kind = kind
        self.moments = {drift.column: Moments() for drift in kind.drifts()}
        super().__init__(folder, pa.schema([("uid", pa.string())]), by="uid", buckets=buckets)

    @property
    def columns(self) -> list[str]:
        """The columns read."""
        return ["uid", *self._kind.measured]

    def add(self, table: pa.Table) -> None:
        """Append what is measured of the rows of a table."""
        measured = self._kind.measures(table.select(self._kind.measured))
        for name, moments in self.moments.items():
            moments.add(measured[name])
        whole = measured.add_column(0, "uid", table["uid"].cast(pa.string()))
        self._schema = whole.schema
        self._write_by_home(whole)

    def __iter__(self) -> Iterator[pd.DataFrame]:
        if self._schema.names == ["uid"]:  # not one row
            self._schema = pa.schema([("uid", pa.string()), *((b.column, pa.float64()) for b in self._kind.bounds())])
        return super().__iter__()


def expect_of_kind(kind: Kind, subject: Subject, contract: Contract, numbers: Table, rows: Measured) -> None:
    """Hold every row against the kind's bounds, and the rejects against its rates."""
    from great_expectations import expectations as gxe

    if bounds := kind.bounds():
        table = contract.table("kind", rows, key="uid")
        for each in bounds:
            if not each.optional:
                table.expect(f"{each.column}_there", gxe.ExpectColumnValuesToNotBeNull(column=each.column), each.says)
            if each.values is not None:
                within = gxe.ExpectColumnValuesToBeInSet(column=each.column, value_set=list(each.values))
            else:
                within = gxe.ExpectColumnValuesToBeBetween(
                    column=each.column, min_value=each.least, max_value=each.most
                )
            table.expect(each.column, within, each.says)
    for rate in kind.rates():
        if rate.name in contract.metrics:
            numbers.bound(rate.name, most=rate.most, says=rate.says)
        else:
            contract.skip(rate.name, f"{subject.counts['documents']} documents are too few to judge")


def drift_of(kind: Kind, subject: Subject, rows: Measured) -> dict[str, float]:
    """What the columns are that a kind watches, and how far they moved from the last good partitions."""
    from data_contracts.engine.history import good_metrics

    metrics: dict[str, float] = {}
    if int(subject.counts["kept"]) >= subject.context.corpus.gates.clean.rates_from:
        for drift in kind.drifts():
            now = rows.moments[drift.column].metrics(drift.column)
            having = f"{drift.column}_missing"
            earlier = good_metrics(subject.context, "clean", before=subject.name, having=having)
            metrics |= now | _moved(now, earlier.metrics, drift.column)
    return metrics


def expect_no_drift(kind: Kind, contract: Contract, numbers: Table) -> None:
    """Bound how far the columns moved."""
    for drift in kind.drifts():
        names = [f"{drift.column}_drift", f"{drift.column}_missing_drift"]
        moved = [name for name in names if name in contract.metrics]
        for name in moved:
            numbers.bound(name, most=drift.most, says=drift.says)
        if not moved:
            contract.skip(names[0], "there is no earlier good partition to compare with, or too few rows to judge")


def _moved(now: dict[str, float], earlier: list[dict[str, float]], column: str) -> dict[str, float]:
    """How far a column's mean (in its usual deviations) and its share of missing values moved."""
    if not earlier:
        return {}
    missing = median(each[f"{column}_missing"] for each in earlier)
    moved = {f"{column}_missing_drift": abs(now[f"{column}_missing"] - missing)}
    told = [each for each in earlier if f"{column}_mean" in each]
    if told and f"{column}_mean" in now:
        mean = median(each[f"{column}_mean"] for each in told)
        wide = median(each[f"{column}_deviation"] for each in told)
        # A column that never differed has moved as far as there is when it does.
        far = abs(now[f"{column}_mean"] - mean)
        moved[f"{column}_drift"] = far / wide if wide else math.inf if far else 0.0
    return moved


class Moments:
    """Rows, mean and deviation of a number, as they come in."""

    def __init__(self) -> None:
        self._rows = self._there = 0
        self._mean = self._squares = 0.0

    def add(self, values: pa.ChunkedArray) -> None:
        """Count values; null ones as missing (Chan et al., Updating Formulae for Computing Sample Variances, 1979)."""
        known = values.drop_null().to_numpy()
        self._rows += len(values)
        if not len(known):
            return
        mean, far = float(known.mean()), float(known.mean()) - self._mean
        both = self._there + len(known)
        self._squares += float(((known - mean) ** 2).sum()) + far * far * self._there * len(known) / both
        self._mean += far * len(known) / both
        self._there = both

    def metrics(self, name: str) -> dict[str, float]:
        """What a gate keeps of them."""
        missing = {f"{name}_missing": 1 - self._there / self._rows if self._rows else 0.0}
        if not self._there:
            return missing
        return {**missing, f"{name}_mean": self._mean, f"{name}_deviation": math.sqrt(self._squares / self._there)}


def rates_of(kind: Kind, subject: Subject) -> dict[str, float]:
    """The shares of rejects that the kind bounds; none where documents are too few to judge."""
    seen, rejected = int(subject.counts["documents"]), subject.counts["rejected"]
    if seen < subject.context.corpus.gates.clean.rates_from:
        return {}
    return {rate.name: sum(rejected.get(reason, 0) for reason in rate.reasons) / seen for rate in kind.rates()}
