"""The interface of a suite: what it reads, and which expectations it has of that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from tasks.errors import BadInput
from tasks.registry import Registry
from tasks.step import Context
from tasks.work import Read

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.expectations.expectation import Expectation


@dataclass(slots=True)
class Table:
    """Rows that expectations are held against.

    ``frames`` is one frame, or, of more rows than fit at once, several: then only expectations that look
    at each row by itself, or at rows that share a frame, may be held against it. ``key`` is the column
    that names a row in a failure.
    """

    name: str
    frames: Iterable[pd.DataFrame]
    key: str | None = None
    expectations: list[Expectation] = field(default_factory=list)

    def expect(self, name: str, expectation: Expectation, says: str) -> None:
        """Expect something; ``says`` tells a person what its failure means and what to do."""
        expectation.meta = {"name": name}
        expectation.notes = says
        self.expectations.append(expectation)

    def bound(self, metric: str, *, least: float | None = None, most: float | None = None, says: str) -> None:
        """Expect a metric (a column of one row) within bounds; one that is missing or NaN fails."""
        from great_expectations import expectations as gxe

        # The maximum of one row is its value: unlike an expectation about each row, this one shows it when it holds.
        self.expect(metric, gxe.ExpectColumnMaxToBeBetween(column=metric, min_value=least, max_value=most), says)


@dataclass(slots=True)
class Contract:
    """The tables of one gate, with the ``metrics`` that it keeps and later partitions are compared with."""

    metrics: dict[str, float]
    tables: list[Table] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def table(self, name: str, frames: Iterable[pd.DataFrame], *, key: str | None = None) -> Table:
        """Add a table."""
        self.tables.append(Table(name, frames, key))
        return self.tables[-1]

    def measured(self) -> Table:
        """Add the metrics as a table of one row, ``metrics``."""
        import pandas as pd

        return self.table("metrics", [pd.DataFrame([self.metrics])])

    def skip(self, what: str, why: str) -> None:
        """Say that something is not checked, and why."""
        self.skipped.append(f"{what}: {why}")


@dataclass(frozen=True, slots=True)
class Subject:
    """What one gate looks at: the manifests of ``Suite.reads``, the first of them on trial."""

    context: Context
    name: str
    """The partition, or the id of the training."""
    reads: Sequence[Read]
    history: dict[str, float]
    """The metric ``Suite.compared`` of the last good partitions, by partition, newest first."""
    scratch: Path
    """An empty local folder, kept until the expectations have been held."""

    @property
    def counts(self) -> dict[str, Any]:
        """Counts of the manifest on trial."""
        return self.reads[0].manifest.counts

    @property
    def usual(self) -> float | None:
        """The median over the last good partitions: one odd night does not move it. None without any."""
        return median(self.history.values()) if self.history else None


class Suite(Protocol):
    """One stage's gate."""

    version: int
    compared: str | None
    """The metric that is held against the last good partitions."""

    def reads(self, context: Context, name: str) -> list[Read]:
        """The manifests it looks at; a failure quarantines the first."""

    def config(self, context: Context) -> Any:
        """The thresholds, for the digest that makes a no-op."""

    def build(self, subject: Subject) -> Contract:
        """The tables and what is expected of them. Great Expectations is imported here, not above."""


SUITES: Registry[Suite] = Registry("data_contracts", kind="gate stage")


def current(context: Context, folder: str, made_by: str) -> Read:
    """A folder's manifest whether it is quarantined or not: a gate may judge it again.

    Raises:
        BadInput: nothing was committed there.
    """
    manifest = context.catalog.current(folder)
    if manifest is None:
        raise BadInput(f"nothing at {context.catalog.url(folder)}: run `nightshift {made_by}` first")
    return Read(folder, manifest, made_by)
