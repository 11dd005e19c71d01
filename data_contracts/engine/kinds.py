"""What gate clean expects of the rows of a kind of data, as the kind says it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
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
        super().__init__(folder, pa.schema([("uid", pa.string())]), by="uid", buckets=buckets)

    @property
    def columns(self) -> list[str]:
        """The columns read."""
        return ["uid", *self._kind.measured]

    def add(self, table: pa.Table) -> None:
        """Append what is measured of the rows of a table."""
        measured = self._kind.measures(table.select(self._kind.measured))
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


def rates_of(kind: Kind, subject: Subject) -> dict[str, float]:
    """The shares of rejects that the kind bounds; none where documents are too few to judge."""
    seen, rejected = int(subject.counts["documents"]), subject.counts["rejected"]
    if seen < subject.context.corpus.gates.clean.rates_from:
        return {}
    return {rate.name: sum(rejected.get(reason, 0) for reason in rate.reasons) / seen for rate in kind.rates()}
