"""``nightshift prepare``: count what one shard of the train split contributes to the features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from tasks.command import ShardType, step_command
from tasks.errors import NightshiftError
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
    require_shard(training, shard)
    work = claim(context, training, STEP, training.features(shard))
    if done := work.done():
        return done
    table, counts = counted(context, training, shard)
    return work.commit([add_table(work, "counts", table)], counts=counts)


def prepare_all(context: Context, training: Training) -> StepResult:
    """Every shard that is not done, all at once on Spark; the last one's result.

    Raises:
        NightshiftError: Spark ended before it had counted all of them.
    """
    from tasks.spark.counts import count_shards

    works = {shard: claim(context, training, STEP, training.features(shard)) for shard in training.shards}
    results = {shard: result for shard, work in works.items() if (result := work.done())}
    if left := [shard for shard in works if shard not in results]:
        for shard, table, counts in count_shards(context, training.snapshot_id, left):
            results[shard] = works[shard].commit([add_table(works[shard], "counts", table)], counts=counts)
    if lost := [str(shard) for shard in works if shard not in results]:
        raise NightshiftError(
            f"corpus {context.corpus.corpus} {training.snapshot_id}: Spark ended, and gave nothing of shards "
            f"{', '.join(lost)}: its lines above may say why; run the step again, shards that are done stay"
        )
    return results[left[-1] if left else training.shards[-1]]


def counted(context: Context, training: Training, shard: Shard) -> tuple[pa.Table, dict[str, Any]]:
    """What a shard contributes, and its counts."""
    from tasks.training.rows import Rows

    rows = Rows(context, training, "train", shard)
    labels: Counter[str | None] = Counter()
    table = training.recipe.count(_counting(rows, labels, Progress(context.log, "documents", rows.total)))
    counts = {
        "rows": labels.total(),
        "unlabelled": rows.unlabelled,
        "terms": table.num_rows,
        "labels": dict(sorted(labels.items(), key=str)) if labelled(training.recipe) else {},
    }
    return table, counts


def _counting(rows: Rows, labels: Counter[str | None], progress: Progress) -> Iterator[pa.Table]:
    for batch in rows:
        labels.update(batch["label"].to_pylist())
        yield batch
        progress.advance(batch.num_rows)


@step_command("prepare", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
@click.option(
    "--shard", type=ShardType(), help="Which of train.shards.  [default: 0/1; with engine: spark all, at once]"
)
def command(context: Context, snapshot: str, shard: Shard | None) -> StepResult:
    """Count one shard of the train split: for text, in how many documents each term occurs."""
    training = open_training(context, snapshot)
    if shard is None and context.corpus.engine == "spark":
        return prepare_all(context, training)
    return prepare(context, training, shard or Shard())
