"""``nightshift combine``: unite the shards' counts into the features of the whole train split."""

from __future__ import annotations

from collections import Counter

import click

from tasks.command import step_command
from tasks.errors import BadInput
from tasks.models._resampling import FEWEST
from tasks.models.base import labelled
from tasks.step import Context, Step, StepResult
from tasks.training import Training
from tasks.training.work import add_table, claim, open_training, read_table
from tasks.work import Read, read

STEP = Step("combine", 1, ("pyarrow", "numpy"))


def combine(context: Context, training: Training) -> StepResult:
    """Reduce: one file of role ``features`` under ``features/<corpus>/<run>/``.

    ``counts``: ``rows`` (labelled), ``unlabelled``, ``vocabulary`` (features), ``labels`` ({label: rows}).

    Raises:
        BadInput: nothing can be learned or judged: no labelled rows, one label, one too rare to be
            under-sampled to, no features, an empty validation split, or more workers than rows.
    """
    reads = [
        read(context, training.features(shard), f"prepare --snapshot {training.snapshot_id} --shard {shard}")
        for shard in training.shards
    ]
    work = claim(context, training, STEP, training.features(), reads)
    rows = sum(shard.manifest.counts["rows"] for shard in reads)
    _require_rows_for_all(context, training, rows)
    if done := work.done():
        return done
    labels = _summed_labels(reads)
    unlabelled = sum(shard.manifest.counts["unlabelled"] for shard in reads)
    _require_learnable(training, labels, rows, unlabelled)
    tables = [read_table(context, entry) for shard in reads for entry in shard.manifest.of_role("counts")]
    features = training.recipe.combine(tables, rows)
    if not features.num_rows:
        seen = sum(table.num_rows for table in tables)
        raise BadInput(
            f"the vocabulary of snapshot {training.snapshot_id} is empty: none of the {seen} terms counted in the "
            f"shards passes train.recipe.{training.corpus.train.recipe.name} (lower min_df, raise max_df), "
            "or clean.strip removes all text"
        )
    counts = {
        "rows": rows,
        "unlabelled": unlabelled,
        "vocabulary": features.num_rows,
        "labels": dict(sorted(labels.items())),
    }
    return work.commit([add_table(work, "features", features)], counts=counts)


def _summed_labels(shards: list[Read]) -> Counter[str]:
    labels: Counter[str] = Counter()
    for shard in shards:
        labels.update(shard.manifest.counts["labels"])
    return labels


def _require_learnable(training: Training, labels: Counter[str], rows: int, unlabelled: int) -> None:
    of = f"the train split of snapshot {training.snapshot_id} ({training.corpus.corpus})"
    learns = labelled(training.recipe)
    if not learns and not rows:
        raise BadInput(f"{of} has no rows: check that documents were kept, and split.ratios")
    if learns and not labels:
        raise BadInput(
            f"{of} has no rows with a label ({unlabelled} without): check clean.labels, train.label "
            f"({training.corpus.train.label!r}) and that documents were kept"
        )
    if learns and len(labels) == 1:
        (only,) = labels
        raise BadInput(
            f"{of} has one label only, {only!r} ({labels.total()} rows): a classifier needs two; check clean.labels "
            f"and train.label ({training.corpus.train.label!r})"
        )
    recipe = training.corpus.train.recipe
    if learns and getattr(recipe.params, "imbalance", None) == "undersample" and min(labels.values()) < FEWEST:
        # Of all recipes alike, though some draw to the row: one corpus can be trained by each of them.
        rarest = min(labels, key=lambda label: (labels[label], label))
        raise BadInput(
            f"{of} has {labels[rarest]} rows labelled {rarest!r}, too few for train.recipe.{recipe.name}.imbalance: "
            f"undersample, which leaves about as many of every label and needs {FEWEST}: take oversample, or class "
            "weights where the recipe has them, or bring more rows of that label"
        )
    if not sum(entry.rows for entry in training.snapshot.of_role("validation")):
        raise BadInput(
            f"the validation split of snapshot {training.snapshot_id} ({training.corpus.corpus}) is empty, so no model "
            f"can be judged: raise split.ratios.validation ({training.corpus.split.ratios.validation}), or bring more "
            f"documents (train has {rows})"
        )


def _require_rows_for_all(context: Context, training: Training, rows: int) -> None:
    """Said here, before a gang is started for it; the number of workers is no part of the run, so each time."""
    workers = context.corpus.resources.workers
    if training.mirrored and 0 < rows < workers:
        raise BadInput(
            f"resources.workers is {workers}, but the train split of snapshot {training.snapshot_id} "
            f"({training.corpus.corpus}) has {rows} rows to learn from: lower it to at most {rows}"
        )


@step_command("combine", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
def command(context: Context, snapshot: str) -> StepResult:
    """Unite the shards' counts: for text, the vocabulary and its idf."""
    return combine(context, open_training(context, snapshot))
