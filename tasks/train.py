"""``nightshift train``: fit one part on one shard of the train split, or train in step on several workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import click

from tasks.command import ShardType, step_command
from tasks.errors import BadInput
from tasks.models.base import RoundsRecipe, ShardedRecipe, labelled
from tasks.step import Context, Shard, Step, StepResult
from tasks.training import Training, load_model, store_model
from tasks.training.work import claim, open_training, read_table, require_shard
from tasks.work import Read, read

if TYPE_CHECKING:
    import pyarrow as pa

STEP = Step("train", 1, ("pyarrow",))


def train(context: Context, training: Training, shard: Shard, number: int | None = None) -> StepResult:
    """Fit on the shard's rows with the features of all shards; files of role ``model`` under ``models/…/parts/``.

    Of a recipe with rounds ``number`` says which, from 0; by default the last, which makes the part. Those before it
    lie under ``models/…/rounds/``, and each begins with the sum of what all shards brought to the one before.

    ``counts``: ``rows``, ``labels`` ({label: rows}) and the recipe's facts. A shard without rows makes
    an empty part: a manifest without files.

    Raises:
        BadInput: the recipe does not train on shards, or not on this many.
    """
    from tasks.training.rows import Rows

    require_shard(training, shard)
    recipe = sharded(training)
    features = read(context, training.features(), f"combine --snapshot {training.snapshot_id}")
    number = training.rounds - 1 if number is None else number
    before = [
        read(context, training.round(number - 1, each), training.made_by(each, number - 1))
        for each in (training.shards if number else ())
    ]
    work = claim(context, training, STEP, training.round(number, shard), [features, *before])
    if done := work.done():
        return done
    (entry,) = features.manifest.of_role("features")
    rows = Rows(context, training, "train", shard)
    labels: Counter[str | None] = Counter()
    batches = _counting(iter(rows), labels)
    first = next(batches, None)
    if first is None:
        return work.commit([], counts={"rows": 0, "labels": {}}, message="no rows in this shard: an empty part")
    context.log.info("fitting", rows=rows.total, features=features.manifest.counts["vocabulary"], round=number)
    batches, table = chain([first], batches), read_table(context, entry)
    if number:
        model = cast(RoundsRecipe, recipe).again(batches, table, _summed(context, recipe, before))
    else:
        model = recipe.fit(batches, table, shard)
    files, details = store_model(context, training, work.folder, model)
    told = dict(sorted(labels.items(), key=str)) if labelled(recipe) else {}
    counts = {"rows": labels.total(), "labels": told, **recipe.facts(model)}
    message = f"round {number + 1} of {training.rounds}" if training.rounds > 1 else ""
    return work.commit(files, counts=counts, details=details, message=message)


def _summed(context: Context, recipe: ShardedRecipe, parts: Sequence[Read]) -> Any:
    """What all shards brought to a round, as one model; in the order of the shards, so that all sum the same."""
    manifests = [each.manifest for each in parts if each.manifest.files]
    rows = [int(each.counts["rows"]) for each in manifests]
    models = [load_model(context, each)[1] for each in manifests]
    return recipe.merge(models, [count / sum(rows) for count in rows])


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
    "--round",
    "number",
    type=click.IntRange(0),
    help="Of a sharded recipe with rounds: which, from 0.  [default: the last, which makes the part]",
)
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
    number: int | None,
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
        if number is not None and number >= training.rounds:
            raise BadInput(
                f"--round {number}: {name} on {training.corpus.train.shards} shard(s) has {training.rounds} round(s): "
                f"give 0 to {training.rounds - 1}"
            )
        return train(context, training, shard or Shard(), number)
    from tasks.gang.start import start_all, start_worker

    if shard is not None or number is not None:
        raise BadInput(
            f"{_given(shard=shard, round=number)}: {name} is mirrored: its workers train in step, not shard by shard; "
            "give --worker and --peers, or nothing to run all of them on this machine"
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
