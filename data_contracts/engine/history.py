"""What the last good partitions measured: one small read each, from the verdicts of their gates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.catalog import Manifest
    from tasks.step import Context

LOOKED_AT = 100
"""So many verdicts are read at most: what lies further back tells little of what is usual."""


@dataclass(slots=True)
class Earlier:
    """What good partitions measured, by day, newest first; ``released``: the last of them stands for all before it."""

    days: dict[str, dict[str, float]] = field(default_factory=dict)
    released: bool = False

    @property
    def metrics(self) -> list[dict[str, float]]:
        return list(self.days.values())


def last_good(context: Context, stage: str, metric: str, *, before: str) -> dict[str, float]:
    """``metric`` of the newest good partitions before a day, newest first, at most ``gates.history``.

    Good is what its gate passed, or a person released. A release ends the history: whoever says that a
    partition is right although it is unlike the earlier ones says that those no longer tell what is usual.
    """
    earlier = good_metrics(context, stage, before=before, having=metric)
    return {day: float(metrics[metric]) for day, metrics in earlier.days.items()}


def good_metrics(context: Context, stage: str, *, before: str, having: str) -> Earlier:
    """All that those gates measured, of those that have the metric ``having``."""
    corpus = context.corpus
    folders = list(context.catalog.folders(f"gates/{corpus.corpus}/{stage}"))
    found = Earlier()
    for folder in reversed([each for each in folders if each.rsplit("/", 1)[1] < before][-LOOKED_AT:]):
        verdict = context.catalog.current(folder)
        if verdict is None:
            continue
        released = bool(verdict.details["failures"]) and _released(context, verdict)
        metrics = verdict.details["metrics"]
        if metrics.get(having) is not None and (released or verdict.details["passed"]):
            found.days[verdict.partition] = dict(metrics)
            found.released = released
        if released or len(found.days) == corpus.gates.history:
            break
    return found


def _released(context: Context, verdict: Manifest) -> bool:
    # By digest: the partition may have been made anew since.
    record = context.catalog.quarantine.record(verdict.corpus, verdict.inputs[0].digest)
    return record is not None and record.released is not None
