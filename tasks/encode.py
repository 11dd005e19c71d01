"""``nightshift encode``: one shard's documents as the examples that a mirrored recipe trains on, in TFRecord files."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tasks.catalog import FileEntry
from tasks.command import ShardType, step_command
from tasks.log import Progress
from tasks.models._resampling import resampled
from tasks.models._vocabulary import label_rows
from tasks.models.base import files_of, streams
from tasks.section import digest_of
from tasks.step import Context, Shard, Step, StepResult
from tasks.training import Training
from tasks.training.mirrored.job import mirrored
from tasks.training.work import claim, open_training, read_table, require_shard
from tasks.work import Work, read

if TYPE_CHECKING:
    import pyarrow as pa

STEP = Step("encode", 1, ("pyarrow", "numpy"))
SPLITS = ("train", "validation")


def encode(context: Context, training: Training, shard: Shard) -> StepResult:
    """Map: one file of examples for each of train and validation, under ``features/…/examples/<i>-of-<n>/``.

    A file's role is its split. ``counts``: ``rows``, the examples of the train split; ``validation``, those of the
    other; ``unlabelled``; ``unseen``, documents whose label the features do not know, which are left out.
    ``details["labels"]`` counts the train split's examples by the number of their label, after ``imbalance`` had rows
    again or left some out; ``details["files"]`` are the digests of what the recipe reads beside the corpus, and others
    encode anew. A shard without rows makes no file.

    Raises:
        BadInput: the recipe is not mirrored.
    """
    require_shard(training, shard)
    mirrored(training)
    features = read(context, training.features(), f"combine --snapshot {training.snapshot_id}")
    beside = files_of(training.recipe)
    own = digest_of(beside) if beside else ""
    work = claim(context, training, STEP, training.examples(shard), [features], own=own)
    if done := work.done():
        return done
    (entry,) = features.manifest.of_role("features")
    table = read_table(context, entry)
    files: list[FileEntry] = []
    counts: Counter[str] = Counter()
    labels: Counter[int] = Counter()
    with tempfile.TemporaryDirectory(prefix="nightshift-examples-") as scratch:
        for split in SPLITS:
            path = Path(scratch) / f"{split}.tfrecord"
            written = _write(work, training, split, shard, table, path, counts)
            if split == "train":
                labels = written
            if path.exists():
                files.append(work.add(split, path, rows=counts[split]))
    if counts["unseen"]:
        context.log.warning("documents whose label was never seen in training are left out", rows=counts["unseen"])
    return work.commit(
        files,
        counts={
            "rows": counts["train"],
            "validation": counts["validation"],
            "unlabelled": counts["unlabelled"],
            "unseen": counts["unseen"],
        },
        details={"labels": {str(label): rows for label, rows in sorted(labels.items())}, "files": beside},
    )


def _write(
    work: Work,
    training: Training,
    split: str,
    shard: Shard,
    features: pa.Table,
    path: Path,
    counts: Counter[str],
) -> Counter[int]:
    """Write the examples of one split to ``path``, if there are any; returns them by the number of their label."""
    from tasks.training.mirrored import records
    from tasks.training.rows import Rows

    recipe, context = mirrored(training), work.context
    fields = recipe.fields()
    rows = Rows(context, training, split, shard)
    progress = Progress(context.log, "documents", rows.total)
    read_rows = begun = 0
    labels: Counter[int] = Counter()

    way = getattr(recipe.params, "imbalance", None) if split == "train" else None

    def advancing() -> Iterator[pa.Table]:
        for batch in rows:
            progress.advance(batch.num_rows, split=split)
            yield batch

    def counting() -> Iterator[pa.Table]:
        nonlocal read_rows
        for batch in resampled(advancing(), label_rows(features), way, training.corpus.train.seed):
            read_rows += batch.num_rows
            yield batch

    def labelled() -> Iterator[Mapping[str, Sequence[Any]]]:
        nonlocal begun
        for columns in recipe.encode(counting(), features):
            begun += (
                sum(not part for part in columns["part"]) if "part" in fields else len(next(iter(columns.values())))
            )
            if "label" in columns and fields["label"].shape == ():
                labels.update(int(label) for label in columns["label"])
            yield columns

    counts[split] = records.write(path, fields, labelled())
    counts["unlabelled"] += rows.unlabelled
    if not streams(recipe):  # whose examples are no rows
        counts["unseen"] += read_rows - begun
    if not counts[split]:
        path.unlink()
    return labels


@step_command("encode", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
@click.option("--shard", type=ShardType(), default="0/1", show_default=True, help="Which of train.shards.")
def command(context: Context, snapshot: str, shard: Shard) -> StepResult:
    """Encode one shard's documents as examples in TFRecord files, for a recipe whose workers train in step."""
    return encode(context, open_training(context, snapshot), shard)
