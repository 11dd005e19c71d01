"""Resolve the published partitions into the exact data of one training."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.catalog import Input, Manifest, fingerprint
from tasks.catalog.quarantine import Record
from tasks.command import step_command
from tasks.errors import BadInput, NotFound
from tasks.kinds.base import kind_of
from tasks.section import digest_of
from tasks.step import Context, Step, StepResult
from tasks.upload import dataset_folder
from tasks.work import Read, Work

if TYPE_CHECKING:
    from tasks.config import Corpus

STEP = Step("snapshot", version=3, libraries=("pyarrow", "numpy", "rensa"))
ID_LENGTH = 16
FORMAT = 1
"""Raised when TFRecord files of the same rows become other bytes."""


def snapshot_folder(corpus: str, snapshot: str) -> str:
    """Where the snapshot of that id lies."""
    return f"snapshots/{corpus}/{snapshot}"


def resolve(context: Context, id_or_url: str) -> Manifest:
    """The snapshot named on a command line, by id or by its manifest's URL.

    Raises:
        BadInput: there is no such snapshot of this corpus.
    """
    corpus = context.corpus.corpus
    folder = context.catalog.folder(id_or_url) if "://" in id_or_url else snapshot_folder(corpus, id_or_url)
    manifest = context.catalog.load(folder, made_by=f"snapshot --corpus {corpus}")
    if manifest.step != STEP.name or manifest.corpus != corpus:
        raise BadInput(f"{id_or_url} is the {manifest.step} of {manifest.corpus}, not a snapshot of {corpus}")
    return manifest


def snapshot(context: Context) -> StepResult:
    """Unite all published partitions, or the latest ``train.history`` of them.

    Of each URL the latest version counts; deletions are applied; of equal or near-equal texts the
    earliest stays, except that train gives way to validation and both to test.

    Raises:
        BadInput: nothing is published, or nothing is left; says which partitions were looked at.
        Lacking: what the recipe needs is not installed where the rest of the training will run, too.
        Corrupt: a published file is missing or altered.
    """
    from tasks.training.runs import recipe_code

    corpus = context.corpus
    recipe_code(corpus.train.recipe.name)  # before anything is read: of a run's tasks this is the first in that image
    partitions, quarantined = published(context)
    config = _config(corpus)
    inputs = [Input(name=each.folder, digest=each.manifest.digest()) for each in partitions]
    name = fingerprint(STEP.code(), config, inputs)[:ID_LENGTH]
    work = Work(context, STEP, snapshot_folder(corpus.corpus, name), name=name, config=config, reads=partitions)
    result = work.done() or _make(context, work, partitions)
    # What follows depends on more than the snapshot's own inputs, so it is no part of its manifest.
    left_out = f"left out, quarantined: {', '.join(quarantined)}" if quarantined else ""
    return replace(
        result,
        counts={**result.counts, "quarantined": quarantined, "settled": _settled(context, name)},
        message="; ".join(filter(None, (result.message, left_out))),
    )


def published(context: Context) -> tuple[list[Read], list[str]]:
    """The partitions with anything in them, in order; and those left out because they, or what they were
    made of, are quarantined.

    Raises:
        BadInput: there is none.
    """
    corpus, catalog = context.corpus, context.catalog
    rejected = {each.digest: each for each in catalog.quarantine.records(corpus.corpus) if each.released is None}
    reads: list[Read] = []
    quarantined: list[str] = []
    for folder in catalog.folders(dataset_folder(corpus.corpus, "").rstrip("/")):
        day = folder.rpartition("/")[2]
        manifest = catalog.current(folder)
        assert manifest is not None  # `folders` lists what has one
        record = _rejected(context, manifest, rejected) if rejected else None
        if record is not None:
            quarantined.append(day)
            context.log.warning("quarantined partition left out", partition=day, stage=record.stage)
            continue
        if not any(entry.rows for entry in manifest.files):
            # A night on which nothing changed is no new data: it must not cost a training, nor a backup its place.
            continue
        reads.append(Read(folder, manifest, f"upload --corpus {corpus.corpus} --partition {day}"))
    if not reads:
        looked = f"quarantined: {', '.join(quarantined)}" if quarantined else "none with a document is published"
        raise BadInput(f"corpus {corpus.corpus} has no partition to train on ({looked}): run its ingest first")
    return reads[-corpus.train.history :] if corpus.train.history else reads, quarantined


def _rejected(context: Context, manifest: Manifest, records: dict[str, Record]) -> Record | None:
    """The record against a manifest or anything that it was made of."""
    if record := records.get(manifest.digest()):
        return record
    for each in manifest.inputs:
        if record := records.get(each.digest):
            return record
        if "://" in each.name:  # a file from outside, which no gate judges
            continue
        try:
            source = context.catalog.at(each.name, each.digest)
        except NotFound:  # upkeep removed what is long superseded
            continue
        if record := _rejected(context, source, records):
            return record
    return None


def _config(corpus: Corpus) -> str:
    near = corpus.train.near
    exported = kind_of(corpus.clean).exported
    return digest_of(
        {"split": corpus.split.model_dump(mode="json"), "near": near.model_dump(mode="json") if near else None}
        # Only where there are any, so that snapshots from before there were are still what they were.
        | ({"tfrecord": [FORMAT, *exported]} if exported else {})
    )


def _make(context: Context, work: Work, partitions: list[Read]) -> StepResult:
    from tasks.resolution.resolver import Resolver

    with tempfile.TemporaryDirectory(prefix="nightshift-snapshot-") as scratch:
        resolver = Resolver(context, work, partitions, Path(scratch))
        files, counts = resolver.run()
    days = [each.manifest.partition for each in partitions]
    return work.commit(files, counts={**counts, "partitions": len(days)}, details={"partitions": days})


def _settled(context: Context, name: str) -> str | None:
    """Why this very data, with this training configuration, needs no further work."""
    from tasks.model_registry import settled
    from tasks.training import run_id

    manifest = context.catalog.current(snapshot_folder(context.corpus.corpus, name))
    assert manifest is not None  # just committed, or found unchanged
    if context.corpus.search is None:
        run = run_id(context.corpus, manifest)
    else:
        from tasks.searching.hunt import Hunt

        hunt = Hunt.of(context.corpus, manifest)
        if hunt.ended(context) is None:
            return None
        run = hunt.training(context).run
    return settled(context.catalog, context.corpus.corpus, run)


@step_command("snapshot", partition=False)
def command(context: Context) -> StepResult:
    """Resolve the published partitions into the exact data of one training.

    Takes every published partition, or the latest train.history of them: the latest version of each URL,
    deletions applied, no text twice, and no text of train in validation or test. The result's
    counts.settled says why nothing is left to do for this data, if so.
    """
    return snapshot(context)
