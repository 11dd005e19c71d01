"""``nightshift train``: fit one part on one shard of the train split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, cast

import click

from tasks.command import ShardType, step_command
from tasks.errors import BadInput
from tasks.models.base import ShardedRecipe
from tasks.step import Context, Shard, Step, StepResult
from tasks.training import Training, store_model
from tasks.training.work import claim, open_training, read_table, require_shard
from tasks.work import read

if TYPE_CHECKING:
    import pyarrow as pa

STEP = Step("train", 1, ("pyarrow",))


def train(context: Context, training: Training, shard: Shard) -> StepResult:
    """Fit on the shard's rows with the features of all shards; files of role ``model`` under ``models/…/parts/``.

    ``counts``: ``rows``, ``labels`` ({label: rows}) and the recipe's facts. A shard without rows makes
    an empty part: a manifest without files.

    Raises:
        BadInput: the recipe does not train on shards, or not on this many.
    """
    from tasks.training.rows import Rows

    require_shard(training, shard)
    recipe = sharded(training)
    features = read(context, training.features(), f"combine --snapshot {training.snapshot_id}")
    work = claim(context, training, STEP, training.model(shard), [features])
    if done := work.done():
        return done
    (entry,) = features.manifest.of_role("features")
    rows = Rows(context, training, "train", shard)
    labels: Counter[str] = Counter()
    batches = _counting(iter(rows), labels)
    first = next(batches, None)
    if first is None:
        return work.commit([], counts={"rows": 0, "labels": {}}, message="no rows in this shard: an empty part")
    context.log.info("fitting", rows=rows.total, features=features.manifest.counts["vocabulary"])
    model = recipe.fit(chain([first], batches), read_table(context, entry), shard)
    files, details = store_model(context, training, training.model(shard), model)
    counts = {"rows": labels.total(), "labels": dict(sorted(labels.items())), **recipe.facts(model)}
    return work.commit(files, counts=counts, details=details)


def sharded(training: Training) -> ShardedRecipe:
    """The training's recipe, which must be one that fits shards alone.

    Raises:
        BadInput: it trains all workers in step.
    """
    recipe = training.recipe
    if recipe.spread != "sharded":
        raise BadInput(
            f"recipe {training.corpus.train.recipe.name} is {recipe.spread}: its workers train in step, "
            "they cannot be run one shard at a time"
        )
    return cast(ShardedRecipe, recipe)


def _counting(batches: Iterator[pa.Table], labels: Counter[str]) -> Iterator[pa.Table]:
    for batch in batches:
        labels.update(batch["label"].to_pylist())
        yield batch


@step_command("train", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
@click.option("--shard", type=ShardType(), default="0/1", show_default=True, help="Which of train.shards.")
def command(context: Context, snapshot: str, shard: Shard) -> StepResult:
    """Fit one part on one shard of the train split."""
    return train(context, open_training(context, snapshot), shard)
