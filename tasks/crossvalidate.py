"""``nightshift crossvalidate``: train without one fold of the train split, and judge the model on it."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tasks.command import ShardType, step_command
from tasks.errors import BadInput
from tasks.judging.base import measures_of
from tasks.step import Context, Shard, Step, StepResult
from tasks.training.runs import Training
from tasks.training.work import claim, open_training
from tasks.work import Read, read

STEP = Step("crossvalidate", 1, ("pyarrow", "numpy"))


def crossvalidate(context: Context, training: Training, fold: Shard, corpus: str) -> StepResult:
    """The metrics of one fold, file and ``details`` ``metrics``, under ``reports/<corpus>/<run>/folds/<i>-of-<k>/``.

    The model is trained with the parameters of the run, on the rest of the train split, by one worker, and thrown away.
    ``corpus`` is what ``--corpus`` said.

    Raises:
        BadInput: the corpus asks for another number of folds, has fewer rows, or a fold has none with a label.
    """
    count = context.corpus.crossvalidate.folds if context.corpus.crossvalidate else 0
    if fold.count != count:
        raise BadInput(f"--fold {fold}: crossvalidate.folds of corpus {context.corpus.corpus} is {count or 'not set'}")
    work = claim(context, training, STEP, training.fold(fold))
    if done := work.done():
        return done
    from tasks.training.apart import apart, judged
    from tasks.training.folds import fold_snapshot

    with apart(replace(context, corpus=training.corpus)) as there:
        within = Training.of(there.corpus, fold_snapshot(context, training, fold, there))
        metrics = judged(there, within, corpus)
    if not metrics["rows"]:
        raise BadInput(
            f"fold {fold} of snapshot {training.snapshot_id} ({context.corpus.corpus}) has no rows with a label: lower "
            "crossvalidate.folds, or bring more documents"
        )
    with tempfile.TemporaryDirectory(prefix="nightshift-report-") as scratch:
        path = Path(scratch) / "metrics.json"
        path.write_text(json.dumps(metrics, indent=1, ensure_ascii=False), encoding="utf-8")
        files = [work.add("metrics", path)]
    headline = {measure.name: metrics[measure.name] for measure in measures_of(metrics)}
    return work.commit(files, counts={"rows": metrics["rows"], **headline}, details={"metrics": metrics})


def folds(context: Context, training: Training) -> list[Read]:
    """Every fold's metrics, as ``evaluate`` reads them; none where the corpus asks for no cross-validation."""
    count = context.corpus.crossvalidate.folds if context.corpus.crossvalidate else 0
    return [
        read(context, training.fold(fold), f"crossvalidate --snapshot {training.snapshot_id} --fold {fold}")
        for fold in (Shard(i, count) for i in range(count))
    ]


def summary(reads: Sequence[Read]) -> dict[str, Any] | None:
    """Mean, sample standard deviation and ``values`` of each measure over the folds; None without folds."""
    if not reads:
        return None
    metrics = [each.manifest.details["metrics"] for each in reads]
    told: dict[str, Any] = {}
    for measure in measures_of(metrics[0]):
        values = [float(each[measure.name]) for each in metrics]
        told[measure.name] = {
            "title": measure.title,
            "mean": statistics.fmean(values),
            "deviation": statistics.stdev(values),
            "values": values,
        }
    return {"count": len(reads), "rows": [each["rows"] for each in metrics], "measures": told}


@step_command("crossvalidate", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
@click.option("--fold", type=ShardType(), required=True, help="Which of crossvalidate.folds, as in 0/5.")
def command(context: Context, snapshot: str, fold: Shard) -> StepResult:
    """Train without one fold of the train split, and judge the model on that fold."""
    corpus = str(click.get_current_context().params["corpus"])
    return crossvalidate(context, open_training(context, snapshot), fold, corpus)
