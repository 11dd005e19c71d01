"""``nightshift train``: fit one part on one shard of the train split, or train in step on several workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, cast

import click

from tasks.command import ShardType, step_command
from tasks.errors import BadInput
from tasks.models.base import ShardedRecipe, labelled
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
    labels: Counter[str | None] = Counter()
    batches = _counting(iter(rows), labels)
    first = next(batches, None)
    if first is None:
        return work.commit([], counts={"rows": 0, "labels": {}}, message="no rows in this shard: an empty part")
    context.log.info("fitting", rows=rows.total, features=features.manifest.counts["vocabulary"])
    model = recipe.fit(chain([first], batches), read_table(context, entry), shard)
    files, details = store_model(context, training, training.model(shard), model)
    told = dict(sorted(labels.items(), key=str)) if labelled(recipe) else {}
    counts = {"rows": labels.total(), "labels": told, **recipe.facts(model)}
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


def _counting(batches: Iterator[pa.Table], labels: Counter[str | None]) -> Iterator[pa.Table]:
    for batch in batches:
        labels.update(batch["label"].to_pylist())
        yield batch


@step_command("train", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
@click.option("--shard", type=ShardType(), show_default="0/1", help="Of a sharded recipe: which of train.shards.")
@click.option(
    "--worker",
    type=ShardType(),
    help="Of a mirrored recipe: which worker this process is.  [default: all resources.workers, here]",
)
@click.option("--peers", metavar="HOST:PORT,…", help="With --worker: where each worker is; TensorFlow takes PORT + 1.")
@click.option("--generation", help="Of a mirrored recipe: names this start of the gang, for all its workers.")
def command(
    context: Context,
    snapshot: str,
    shard: Shard | None,
    worker: Shard | None,
    peers: str | None,
    generation: str | None,
) -> StepResult:
    """Fit one part on one shard of the train split, or train a mirrored recipe on several workers in step.

    Exit codes of a mirrored recipe beyond the usual: 75 a worker was lost, 77 a worker was told to leave and a
    checkpoint was made; in both cases start all workers again.
    """
    training = open_training(context, snapshot)
    name = f"recipe {training.corpus.train.recipe.name}"
    if not training.mirrored:
        if given := _given(worker=worker, peers=peers, generation=generation):
            raise BadInput(f"{given}: {name} is sharded: its shards are fitted alone; give --shard")
        return train(context, training, shard or Shard())
    from tasks.gang.start import start_all, start_worker

    if shard is not None:
        raise BadInput(
            f"--shard: {name} is mirrored: its workers train in step, not shard by shard; give --worker and --peers, "
            "or nothing to run all of them on this machine"
        )
    corpus = str(click.get_current_context().params["corpus"])
    if worker is None:
        if peers:
            raise BadInput("--peers: give --worker too, which of them this process is")
        return start_all(context, training, corpus, generation)
    if not peers:
        raise BadInput(f"--worker {worker}: give --peers too, the address of each of the {worker.count} workers")
    return start_worker(context, training, corpus, worker, peers, generation or "by-hand")


def _given(**options: object) -> str:
    return ", ".join(f"--{name}" for name, value in options.items() if value is not None)
