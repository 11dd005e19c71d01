"""One site's round: train on its own data, with its own credentials, and send weights. Nothing else leaves."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.catalog import Catalog, Manifest
from tasks.config.federated import SETTINGS, Site
from tasks.encode import encode
from tasks.errors import BadInput
from tasks.federation.folders import federated, made_by, round_folder
from tasks.gang.start import start_all
from tasks.section import Choice, digest_of
from tasks.snapshot import resolve, snapshot
from tasks.step import Context, Step, StepResult
from tasks.store import open_store
from tasks.training.apart import alone, apart, written
from tasks.training.begin import VARIABLE as BEGIN
from tasks.training.models import ROLE, load_model, store_model
from tasks.training.runs import Training
from tasks.training.work import claim
from tasks.work import Read, read

if TYPE_CHECKING:
    from tasks.config import Corpus

STEP = Step("federate", 1, ("pyarrow", "numpy"))
SPLITS = ("train", "validation")


def site_round(context: Context, training: Training, number: int, index: int, corpus: str) -> StepResult:
    """Train from the last round's average on one site's data; the weights, under ``…/rounds/<number>/<site>/``.

    The site's data are read with the variables that ``credentials`` names, and copied to this machine alone. To the
    centre's store go the network's weights and |D_i|. ``corpus`` is what ``--corpus`` said.

    Raises:
        BadInput: a variable is not set or refused, the site has published nothing, or nothing can be learned there.
        StoreError: a store does not answer.
    """
    section = federated(training)
    site = section.sites[index]
    there = _at(context, site)
    data = resolve(there, str(snapshot(there).partition))
    features = read(context, training.features(), f"combine --snapshot {training.snapshot_id}")
    reads = [features]
    if number:
        reads.append(read(context, round_folder(training, number - 1), made_by(training, number - 1)))
    work = claim(context, training, STEP, round_folder(training, number, index), reads, own=digest_of(data.digest()))
    if done := work.done():
        return done
    with apart(replace(there, corpus=local_corpus(training, section.local_epochs, number))) as here:
        local = Training.of(here.corpus, _copied(there, data, here))
        _features(context, features, here, local)
        if number:
            here = replace(here, env={**here.env, BEGIN: str(_begin(context, reads[1], here))})
        for shard in local.shards:
            encode(here, local, shard)
        result = start_all(here, local, written(here, local, corpus), None)
        part = here.catalog.load(local.model(local.parts[0]), made_by="train")
        _, model = load_model(here, part)
        epoch = {name: value for name, value in part.details["epoch"].items() if name in ("loss", "validation")}
    files, details = store_model(context, training, work.folder, model)
    details |= {"site": site.name, "round": number, "epoch": epoch}
    return work.commit(files, counts={"rows": result.counts["rows"]}, details=details)


def _at(context: Context, site: Site) -> Context:
    """The context over the site's own store, opened by its own variables and no others."""
    env = {name: value for name, value in context.env.items() if not name.startswith("AWS_")}
    if site.credentials:
        own = {name: context.env.get(f"{site.credentials}_{name}") for name in SETTINGS}
        needed = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        if missing := [f"{site.credentials}_{name}" for name in needed if not own[name]]:
            raise BadInput(f"site {site.name} ({site.store}): set {' and '.join(missing)} in the environment")
        env |= {name: value for name, value in own.items() if value}
    store = open_store(site.store, env)
    return replace(context, store=store, catalog=Catalog(store), env=env)


def local_corpus(training: Training, epochs: int, number: int) -> Corpus:
    """What a site trains in a round: the same network, over fewer epochs, by one worker.

    All sites draw the same network in round 0: the average of networks that were drawn apart is of no use (McMahan et
    al. 2017, figure 1). Each round has a seed of its own, else all would drop and visit in the order of the first.
    """
    choice = training.corpus.train.recipe
    params = choice.params.model_copy(update={"epochs": epochs})
    train = training.corpus.train.model_copy(
        update={"recipe": Choice(name=choice.name, params=params), "seed": training.corpus.train.seed + number}
    )
    return alone(training.corpus.model_copy(update={"train": train}))


def _copied(there: Context, data: Manifest, here: Context) -> Manifest:
    """The site's train and validation splits on this machine; no other split is read."""
    folder, files = f"snapshots/{data.corpus}/{data.partition}", []
    for number, entry in enumerate(e for split in SPLITS for e in data.of_role(split)):
        path = there.catalog.fetch(entry, Path(here.env["TMPDIR"]) / f"{number}.parquet")
        files.append(here.catalog.add_file(folder, entry.role, path, entry.sha256, rows=entry.rows))
        path.unlink()
    manifest = data.model_copy(update={"files": tuple(files), "inputs": ()})
    here.catalog.commit(folder, manifest)
    return manifest


def _features(context: Context, features: Read, here: Context, local: Training) -> None:
    """The centre's features, as if they had been counted here: every site's network must have the same inputs."""
    (entry,) = features.manifest.of_role("features")
    with tempfile.TemporaryDirectory(prefix="nightshift-features-") as scratch:
        path = context.catalog.fetch(entry, Path(scratch) / "features.parquet")
        copied = here.catalog.add_file(local.features(), "features", path, _sha256(path), rows=entry.rows)
    here.catalog.commit(local.features(), features.manifest.model_copy(update={"files": (copied,), "inputs": ()}))


def _begin(context: Context, average: Read, here: Context) -> Path:
    """The last round's average as the files of a model."""
    folder = Path(here.env["TMPDIR"]) / "begin"
    entries: Mapping[str, Any] = {entry.sha256: entry for entry in average.manifest.of_role(ROLE)}
    for name, sha256 in average.manifest.details["files"].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        context.catalog.fetch(entries[sha256], folder / name)
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
