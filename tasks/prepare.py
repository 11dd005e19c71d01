"""``nightshift prepare``: count what one shard of the train split contributes to the features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from tasks.command import ShardType, step_command
from tasks.log import Progress
from tasks.models.base import labelled
from tasks.step import Context, Shard, Step, StepResult
from tasks.training import Training
from tasks.training.work import add_table, claim, open_training, require_shard

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.training.rows import Rows

STEP = Step("prepare", 1, ("pyarrow",))


def prepare(context: Context, training: Training, shard: Shard) -> StepResult:
    """Map: one file of role ``counts`` under ``features/…/shards/<i>-of-<n>/``.

    ``counts``: ``rows`` (labelled, or all where the recipe needs no labels), ``unlabelled``, ``terms``, ``labels``
    ({label: rows}, of a recipe that learns them). A shard without rows is legal.
    """
    from tasks.training.rows import Rows

    require_shard(training, shard)
    work = claim(context, training, STEP, training.features(shard))
    if done := work.done():
        return done
    rows = Rows(context, training, "train", shard)
    labels: Counter[str | None] = Counter()
    table = training.recipe.count(_counting(rows, labels, Progress(context.log, "documents", rows.total)))
    counts = {
        "rows": labels.total(),
        "unlabelled": rows.unlabelled,
        "terms": table.num_rows,
        "labels": dict(sorted(labels.items(), key=str)) if labelled(training.recipe) else {},
    }
    return work.commit([add_table(work, "counts", table)], counts=counts)


def _counting(rows: Rows, labels: Counter[str | None], progress: Progress) -> Iterator[pa.Table]:
    for batch in rows:
        labels.update(batch["label"].to_pylist())
        yield batch
        progress.advance(batch.num_rows)


@step_command("prepare", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
@click.option("--shard", type=ShardType(), default="0/1", show_default=True, help="Which of train.shards.")
def command(context: Context, snapshot: str, shard: Shard) -> StepResult:
    """Count one shard of the train split: for text, in how many documents each term occurs."""
    return prepare(context, open_training(context, snapshot), shard)
