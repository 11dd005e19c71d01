"""The restore drill: does the champion come back from its backup, and is it the one that was promoted?"""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from datetime import datetime
from typing import Any

from tasks.backups.vault import Vault
from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.errors import Corrupt, GateFailed
from tasks.judging.base import measures_of
from tasks.model_registry import Registry, Version
from tasks.restore import STEP, choose, restore
from tasks.step import Context, StepResult
from tasks.store import open_store
from tasks.training import Training, load_model
from tasks.training.scoring import score

SPLITS = ("validation", "test")


def rehearse(context: Context, vault: Vault, *, version: int | None, at: datetime) -> StepResult:
    """Restore a backup into a scratch folder of this machine, score its champion there, and compare.

    ``counts``: ``version``, ``files``, ``bytes``, and of each split ``<split>_rows`` and the measures
    (as ``_accuracy``) as scored now, which are those recorded at promotion.

    Raises:
        BadInput: there is no backup of that version.
        Corrupt: the backup is damaged, or the store's champion is in none.
        GateFailed: the restored champion does not score what it scored when it was promoted.
    """
    champion = Registry(context.catalog, vault.corpus).champion()
    backups, _ = vault.backups()
    held = {(backup.version, backup.manifest.details["model"]) for backup in backups}
    if champion is None and not backups:
        said = "no champion and no backup yet: nothing to rehearse"
        return StepResult(STEP.name, vault.corpus, vault.store.url_of(vault.corpus), noop=True, message=said)
    if champion is not None and (champion.version, champion.digest) not in held:
        raise Corrupt(
            f"version {champion.version}, the champion of {vault.corpus}, is in no readable backup in "
            f"{vault.store.url}: run `nightshift backup --corpus {vault.corpus}`"
        )
    backup = choose(vault, version)
    with tempfile.TemporaryDirectory(prefix="nightshift-drill-") as folder:
        store = open_store(f"file://{folder}", {})
        # Without the environment: a drill must not reach MLflow.
        scratch = replace(context, store=store, catalog=Catalog(store), env={})
        restored = restore(scratch, vault, version=backup.version, by="restore drill", at=at)
        found = Registry(scratch.catalog, vault.corpus).champion()
        assert found is not None  # just restored
        scored = _score(scratch, found)
    _compare(vault, found, scored)
    numbers = {f"{split}_{name}": scored[split][name] for split in SPLITS for name in _numbers(scored[split])}
    return StepResult(
        step=STEP.name,
        corpus=vault.corpus,
        manifest=vault.catalog.url(backup.folder),
        counts={**backup.manifest.counts, **numbers, "written": restored.counts["written"], "verified": True},
        message=f"version {found.version} came back from the backup of {backup.made} and scores as it was recorded",
    )


def _score(context: Context, version: Version) -> dict[str, dict[str, Any]]:
    """The version's numbers on its own snapshot's splits, as they are in the context's store."""
    model = context.catalog.at(version.folder, version.digest)
    snapshot = context.catalog.at(f"snapshots/{version.corpus}/{version.snapshot}", version.snapshot_digest)
    training = Training(_as_trained(context.corpus, version), snapshot, version.run)
    loaded = {"champion": load_model(context, model)}
    return {split: score(context, training, split, loaded)[0]["champion"].metrics() for split in SPLITS}


def _as_trained(corpus: Corpus, version: Version) -> Corpus:
    """The corpus with the label that the version learned, whatever its YAML says today."""
    return corpus.model_copy(update={"train": corpus.train.model_copy(update={"label": version.label, "slices": ()})})


def _compare(vault: Vault, version: Version, scored: dict[str, dict[str, Any]]) -> None:
    different = [
        f"{split} {name} {scored[split][name]}, recorded {version.metrics[split][name]}"
        for split in SPLITS
        for name in _numbers(version.metrics[split])
        if not _equal(scored[split][name], version.metrics[split][name])
    ]
    if different:
        raise GateFailed(
            f"version {version.version} of {vault.corpus} came back from its backup, but is not what was promoted: "
            f"{'; '.join(different)}. Were libraries changed since? It was made with {version.code}"
        )


def _numbers(metrics: dict[str, Any]) -> tuple[str, ...]:
    return ("rows", *(measure.name for measure in measures_of(metrics)))


def _equal(now: float | None, then: float | None) -> bool:
    # Sums in another order may differ: those of a network in float32, on a processor of another kind, in the eighth
    # figure. One row of a hundred thousand that is predicted otherwise is as much.
    return now == then or (now is not None and then is not None and math.isclose(now, then, rel_tol=1e-6))
