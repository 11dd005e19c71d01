"""What earlier runs of a corpus scored, from their report manifests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.judging.base import headline

if TYPE_CHECKING:
    from tasks.catalog import Catalog, Manifest

LATEST = 30
"""Runs that the history shows."""


@dataclass(frozen=True, slots=True)
class PastRun:
    """The headline of one run; a metric is None where the split had no rows."""

    run: str
    day: str
    """The newest partition of its snapshot, or "" when the manifest names none."""
    validation: dict[str, Any]
    test: dict[str, Any]


def past_runs(catalog: Catalog, corpus: str, *, before: str) -> list[PastRun]:
    """The runs of ``corpus`` that have a report, oldest first, without run ``before``."""
    manifests = [catalog.current(folder) for folder in catalog.folders(f"reports/{corpus}")]
    others = [m for m in manifests if m is not None and m.partition != before and "metrics" in m.details]
    others.sort(key=lambda m: (str(m.volatile.get("at", "")), m.partition))
    return [
        past_run(m.partition, str(m.details.get("newest_partition", "")), m.details["metrics"])
        for m in others[-LATEST:]
    ]


def past_run(run: str, day: str, metrics: dict[str, Any]) -> PastRun:
    """The headline of one run's metrics."""
    return PastRun(run, day, _headline(metrics["validation"]), _headline(metrics["test"]))


def newest_partition(snapshot: Manifest) -> str:
    """The newest day of a snapshot, or "" when its manifest names none."""
    return max(snapshot.details.get("partitions", ()), default="")


def _headline(metrics: dict[str, Any]) -> dict[str, float | None]:
    return headline(metrics)
