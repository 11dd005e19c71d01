"""What the last good partitions measured: one small read each, from the verdicts of their gates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.catalog import Manifest
    from tasks.step import Context


def last_good(context: Context, stage: str, metric: str, *, before: str) -> dict[str, float]:
    """``metric`` of the newest good partitions before a day, newest first, at most ``gates.history``.

    Good is what its gate passed, or a person released. A release ends the history: whoever says that a
    partition is right although it is unlike the earlier ones says that those no longer tell what is usual.
    """
    return {
        day: float(metrics[metric])
        for day, metrics in good_metrics(context, stage, before=before, having=metric).items()
    }


def good_metrics(context: Context, stage: str, *, before: str, having: str) -> dict[str, dict[str, float]]:
    """All that those gates measured, of those that have the metric ``having``."""
    corpus = context.corpus
    folders = list(context.catalog.folders(f"gates/{corpus.corpus}/{stage}"))
    found: dict[str, dict[str, float]] = {}
    for folder in reversed([each for each in folders if each.rsplit("/", 1)[1] < before]):
        verdict = context.catalog.current(folder)
        if verdict is None:
            continue
        released = bool(verdict.details["failures"]) and _released(context, verdict)
        metrics = verdict.details["metrics"]
        if metrics.get(having) is not None and (released or verdict.details["passed"]):
            found[verdict.partition] = dict(metrics)
        if released or len(found) == corpus.gates.history:
            break
    return found


def _released(context: Context, verdict: Manifest) -> bool:
    # By digest: the partition may have been made anew since.
    record = context.catalog.quarantine.record(verdict.corpus, verdict.inputs[0].digest)
    return record is not None and record.released is not None
