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
    corpus = context.corpus
    folders = list(context.catalog.folders(f"gates/{corpus.corpus}/{stage}"))
    found: dict[str, float] = {}
    for folder in reversed([each for each in folders if each.rsplit("/", 1)[1] < before]):
        verdict = context.catalog.current(folder)
        if verdict is None:
            continue
        released = bool(verdict.details["failures"]) and _released(context, verdict)
        value = verdict.details["metrics"].get(metric)
        if value is not None and (released or verdict.details["passed"]):
            found[verdict.partition] = value
        if released or len(found) == corpus.gates.history:
            break
    return found


def _released(context: Context, verdict: Manifest) -> bool:
    # By digest: the partition may have been made anew since.
    record = context.catalog.quarantine.record(verdict.corpus, verdict.inputs[0].digest)
    return record is not None and record.released is not None
