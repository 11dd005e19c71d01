"""Unite a partition's shards: the latest capture of each URL, each text once."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.catalog import Input, Manifest, fingerprint
from tasks.clean import load_raw, shard_count, shard_folder, shard_mark
from tasks.command import step_command
from tasks.errors import BadInput
from tasks.kinds.base import kind_of
from tasks.step import Context, Shard, Step, StepResult

if TYPE_CHECKING:
    from tasks.cleaning.near import Signer

STEP = Step(name="dedup", version=2, libraries=("rensa", "numpy", "pyarrow"))


@step_command("dedup")
def command(context: Context, partition: str) -> StepResult:
    """Unite the cleaned shards of a day, without duplicates.

    Of several captures of one URL the latest stays; of equal texts, and with `clean.dedup.near` of
    near-equal ones, the earliest. What goes becomes a reject that names what stays.
    """
    return dedup(context, partition)


def dedup(context: Context, partition: str) -> StepResult:
    """Make ``clean/<corpus>/<partition>`` of its shards.

    Raises:
        BadInput: a shard is not cleaned yet, or from other raw input or configuration than the current.
        Corrupt: a shard's file is missing or altered.
    """
    corpus, catalog = context.corpus, context.catalog
    shards = _shards(context, partition)
    folder = f"clean/{corpus.corpus}/{partition}"
    inputs = tuple(Input(name=name, digest=manifest.digest()) for name, manifest in shards)
    config = corpus.clean.dedup.digest()
    mark = fingerprint(STEP.code(), config, inputs)
    if done := catalog.unchanged(folder, mark):
        return StepResult("dedup", corpus.corpus, catalog.url(folder), partition, True, done.counts)

    from tasks.cleaning.keys import Part
    from tasks.cleaning.unite import unite

    with tempfile.TemporaryDirectory(prefix="nightshift-dedup-") as scratch:
        parts = []
        for name, manifest in shards:
            local = {
                role: tuple(
                    catalog.fetch(entry, Path(scratch) / "in" / name.rpartition("/")[2] / Path(entry.key).name)
                    for entry in manifest.of_role(role)
                )
                for role in ("documents", "rejects", "deletions")
            }
            parts.append(Part(**local))
        like = kind_of(corpus.clean).likeness
        united = unite(parts, corpus.clean.dedup, Path(scratch) / "out", like, _signer(context, shards))
        files = tuple(catalog.add_file(folder, w.role, w.path, w.sha256, rows=w.rows) for w in united.files)
    counts = united.counts()
    counts["unchanged"] = sum(manifest.counts.get("unchanged", 0) for _, manifest in shards)
    context.log.info("united", **counts)
    manifest = Manifest(
        step="dedup",
        corpus=corpus.corpus,
        partition=partition,
        fingerprint=mark,
        code=STEP.code(),
        config=config,
        inputs=inputs,
        files=files,
        counts=counts,
    )
    return StepResult("dedup", corpus.corpus, catalog.commit(folder, manifest), partition, counts=counts)


def _signer(context: Context, shards: list[tuple[str, Manifest]]) -> Signer | None:
    """What makes the signatures of all documents on Spark; None where that happens here."""
    if context.corpus.engine != "spark":
        return None
    from tasks.spark.signing import sign_files

    return partial(sign_files, context, [entry for _, manifest in shards for entry in manifest.of_role("documents")])


def _shards(context: Context, partition: str) -> list[tuple[str, Manifest]]:
    """Folder and manifest of every shard, each of the current raw input and configuration, intact."""
    corpus, catalog = context.corpus, context.catalog
    raw_folder, raw = load_raw(catalog, corpus.corpus, partition)
    mark = shard_mark(corpus, raw_folder, raw)
    count = shard_count(corpus, raw)
    shards = []
    for index in range(count):
        shard = Shard(index, count)
        again = f"clean --corpus {corpus.corpus} --partition {partition} --shard {shard}"
        folder = shard_folder(corpus.corpus, partition, shard)
        manifest = catalog.load(folder, made_by=again)
        if manifest.fingerprint != mark:
            raise BadInput(
                f"{catalog.url(folder)} was made of other raw input, configuration or code than there is now: "
                f"run `nightshift {again}` first"
            )
        catalog.require_intact(manifest, made_by=again)
        shards.append((folder, manifest))
    return shards
