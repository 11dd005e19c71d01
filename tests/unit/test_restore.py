"""A champion comes back from its backup as it was, into stores empty, damaged or foreign; and the drill."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.backup import backup
from tasks.backups.drill import rehearse
from tasks.backups.vault import Backup, Vault
from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt, GateFailed
from tasks.model_registry import Registry, champion, settled
from tasks.restore import restore
from tasks.rollback import rollback
from tasks.step import Context, StepResult
from tasks.store import open_store
from tasks.training import load_model
from tests.champions import (
    LATER,
    NOW,
    TRAIN,
    Killed,
    Lying,
    Mortal,
    candidate,
    crowned,
    documents,
    keyword_corpus,
    promoted,
)


@pytest.fixture
def context(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]) -> Context:
    return make_context(keyword_corpus(make_corpus))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(open_store(f"file://{tmp_path}/backup", {}), "docs")


@pytest.fixture
def empty(context: Context, tmp_path: Path) -> Context:
    return at_store(context, tmp_path / "empty")


def at_store(context: Context, folder: Path) -> Context:
    store = open_store(f"file://{folder}", {})
    return replace(context, store=store, catalog=Catalog(store))


def back_up(context: Context, vault: Vault) -> StepResult:
    return backup(context, vault, at=NOW)


def bring_back(context: Context, vault: Vault, version: int | None = None, *, force: bool = False) -> StepResult:
    return restore(context, vault, version=version, by="me", at=LATER, force=force)


def predictions(context: Context) -> np.ndarray:
    found = champion(context.catalog, "docs")
    assert found is not None
    recipe, model = load_model(context, Registry(context.catalog, "docs").model(found))
    return recipe.predict(model, [row["text"] for row in documents(20, seed=50)])


def contents(context: Context) -> dict[str, bytes]:
    return {info.key: context.store.read(info.key) for info in context.store.list("")}


def newest(vault: Vault) -> Backup:
    return vault.backups()[0][0]


def damage_one(vault: Vault, made: Backup) -> str:
    """Alter one object; returns the original key of it."""
    key, sha256 = next((key, sha256) for key, sha256 in made.places.items() if key.startswith("dataset/"))
    vault.store.write(made.objects[sha256].key, b"rotten")
    return key


def test_into_an_empty_store_comes_a_champion_that_predicts_the_same(
    context: Context, vault: Vault, empty: Context
) -> None:
    training = crowned(context)
    back_up(context, vault)
    result = bring_back(empty, vault)
    assert result.message.startswith("version 1 is the champion, restored from the backup of 2026-11-21")
    assert result.counts["verified"] is True
    np.testing.assert_array_equal(predictions(empty), predictions(context))
    assert champion(empty.catalog, "docs") == champion(context.catalog, "docs")
    assert settled(empty.catalog, "docs", training.run) == settled(context.catalog, "docs", training.run)
    for folder in (training.model(), training.report(), f"snapshots/docs/{training.snapshot_id}",
                   "dataset/docs/2026-11-19", "dataset/docs/2026-11-20"):  # fmt: skip
        brought, kept = empty.catalog.load(folder, made_by=""), context.catalog.load(folder, made_by="")
        assert brought.digest() == kept.digest()
        assert empty.catalog.damaged(brought) == []
    audits = Registry(empty.catalog, "docs").audits()
    assert [(each.action, each.version, each.by) for each in audits] == [("promote", 1, "test"), ("restore", 1, "me")]
    assert audits[-1].reason == f"from {vault.catalog.url(newest(vault).folder)}"


def test_a_restored_store_goes_on_as_the_old_one_would(context: Context, vault: Vault, empty: Context) -> None:
    for seed in (0, 1):
        crowned(context, seed)
        back_up(context, vault)
    bring_back(empty, vault)
    assert promoted(empty, candidate(empty, seed=2)).counts["version"] == 3
    rollback(empty, to=None, reason="", by="me", at=LATER)
    found = champion(empty.catalog, "docs")
    assert found is not None and found.version == 2
    with pytest.raises(Corrupt, match=r"version 1 of docs is missing.*restore --corpus docs --version 1 --force"):
        rollback(empty, to=1, reason="", by="me", at=LATER)
    bring_back(empty, vault, 1, force=True)
    found = champion(empty.catalog, "docs")
    assert found is not None and found.version == 1


def test_restoring_twice_is_a_no_op(context: Context, vault: Vault, empty: Context) -> None:
    crowned(context)
    back_up(context, vault)
    bring_back(empty, vault)
    before = contents(empty)
    result = bring_back(empty, vault)
    assert (result.noop, result.counts["written"]) == (True, 0)
    assert contents(empty) == before


def test_the_newest_backup_or_that_of_a_version_is_taken(context: Context, vault: Vault, tmp_path: Path) -> None:
    for seed in (0, 1):
        crowned(context, seed)
        back_up(context, vault)
    assert bring_back(at_store(context, tmp_path / "new"), vault).counts["version"] == 2
    older = at_store(context, tmp_path / "old")
    assert bring_back(older, vault, 1).counts["version"] == 1
    found = champion(older.catalog, "docs")
    assert found is not None and found.version == 1


def test_a_backup_that_is_not_there_is_refused_with_those_that_are(
    context: Context, vault: Vault, empty: Context
) -> None:
    with pytest.raises(BadInput, match="holds no backup of corpus docs; versions there: none"):
        bring_back(empty, vault)
    crowned(context)
    back_up(context, vault)
    with pytest.raises(BadInput, match="no backup of version 4 of corpus docs; versions there: 1"):
        bring_back(empty, vault, 4)


def test_a_damaged_backup_is_refused_by_name_before_anything_is_written(
    context: Context, vault: Vault, empty: Context
) -> None:
    crowned(context)
    back_up(context, vault)
    key = damage_one(vault, newest(vault))
    with pytest.raises(Corrupt, match=rf"1 object\(s\) of the backup .* are missing or altered:\n(.*\n)*  {key}: "):
        bring_back(empty, vault)
    assert contents(empty) == {}


def test_when_the_newest_inventory_is_damaged_nothing_older_is_taken_silently(
    context: Context, vault: Vault, empty: Context
) -> None:
    for seed in (0, 1):
        crowned(context, seed)
        back_up(context, vault)
    vault.store.write(f"{newest(vault).folder}/_manifest.json", b"{")
    with pytest.raises(Corrupt, match=r"000002-.*is not a readable manifest.*--version \(readable: 1\)"):
        bring_back(empty, vault)
    assert contents(empty) == {}
    assert bring_back(empty, vault, 1).counts["version"] == 1


def test_a_store_with_another_champion_is_left_alone_unless_forced(
    context: Context, vault: Vault, empty: Context
) -> None:
    crowned(context)
    back_up(context, vault)
    crowned(empty, seed=5)
    before = contents(empty)
    with pytest.raises(BadInput, match=r"version 1 .* is the champion of docs in this store.*Nothing was written"):
        bring_back(empty, vault)
    assert contents(empty) == before
    assert bring_back(empty, vault, force=True).counts["version"] == 2
    assert {key: data for key, data in contents(empty).items() if key in before and "champion.json" not in key} == {
        key: data for key, data in before.items() if "champion.json" not in key
    }
    np.testing.assert_array_equal(predictions(empty), predictions(context))
    audits = Registry(empty.catalog, "docs").audits()
    assert [(each.action, each.version, each.previous) for each in audits] == [("promote", 1, None), ("restore", 2, 1)]


def test_production_that_went_on_is_not_taken_back_unless_forced(context: Context, vault: Vault) -> None:
    crowned(context)
    back_up(context, vault)
    crowned(context, seed=1)
    with pytest.raises(BadInput, match=r"version 2 .* is the champion .* the backup holds version 1"):
        bring_back(context, vault)
    result = bring_back(context, vault, force=True)
    assert result.counts["version"] == 1
    found = champion(context.catalog, "docs")
    assert found is not None and found.version == 1
    assert [each.action for each in Registry(context.catalog, "docs").audits()] == ["promote", "promote", "restore"]


@pytest.mark.parametrize(
    "damaged", ["model", "model manifest", "model pointer", "dataset part", "version", "audit", "champion pointer gone"]
)
def test_what_is_damaged_in_the_store_is_mended_and_the_rest_left(context: Context, vault: Vault, damaged: str) -> None:
    training = crowned(context)
    back_up(context, vault)
    before = contents(context)
    manifest = context.catalog.load(training.model(), made_by="")
    key = {
        "model": manifest.files[0].key,
        "model manifest": f"{training.model()}/manifests/{manifest.digest()}.json",
        "model pointer": f"{training.model()}/_manifest.json",
        "dataset part": context.catalog.load("dataset/docs/2026-11-19", made_by="").files[0].key,
        "version": "models/docs/registry/versions/000001.json",
        "audit": "models/docs/registry/audit/000001.json",
        "champion pointer gone": "models/docs/registry/champion.json",
    }[damaged]
    if damaged == "champion pointer gone":
        context.store.delete(key)
    else:
        context.store.write(key, b"{")
    result = bring_back(context, vault)
    assert (result.noop, result.counts["written"]) == (False, int(damaged != "champion pointer gone"))
    after = contents(context)
    assert {k: v for k, v in after.items() if "champion.json" not in k and k in before} == {
        k: v for k, v in before.items() if "champion.json" not in k
    }
    assert set(after) - set(before) == {"models/docs/registry/audit/000002.json"}
    assert bring_back(context, vault).noop


def test_a_pointer_to_something_newer_stays(context: Context, vault: Vault) -> None:
    from tests.champions import publish

    crowned(context)
    back_up(context, vault)
    newer = publish(context, "2026-11-19", documents(9, seed=77)).manifest
    bring_back(context, vault)
    assert context.catalog.load("dataset/docs/2026-11-19", made_by="").digest() == newer.digest()


def test_a_restore_killed_after_any_write_is_completed_by_its_retry(
    context: Context, vault: Vault, tmp_path: Path
) -> None:
    for seed in (0, 1):
        crowned(context, seed)
        back_up(context, vault)
    expected = predictions(context)
    for last in range(1, 500):
        target = at_store(context, tmp_path / f"target-{last}")
        store = Mortal(target.store, last)
        try:
            bring_back(replace(target, store=store, catalog=Catalog(store)), vault)
        except Killed:
            pass
        else:
            break
        bring_back(target, vault)
        found = Registry(target.catalog, "docs").head()
        assert found.pointed and found.champion is not None and found.champion.version == 2
        np.testing.assert_array_equal(predictions(target), expected)
        audits = Registry(target.catalog, "docs").audits()
        assert [each.action for each in audits] == ["promote", "promote", "restore"]
        assert bring_back(target, vault).noop
        shutil.rmtree(tmp_path / f"target-{last}")
    assert last > 20


def test_a_store_that_does_not_return_what_it_was_given_gets_no_champion(
    context: Context, vault: Vault, empty: Context
) -> None:
    crowned(context)
    back_up(context, vault)
    store = Lying(empty.store, "snapshots/")
    with pytest.raises(Corrupt, match=r"snapshots/docs/.* is not what was written.*look at the store's disks"):
        bring_back(replace(empty, store=store, catalog=Catalog(store)), vault)
    assert champion(empty.catalog, "docs") is None


def test_the_vault_is_no_store_to_restore_into(context: Context, vault: Vault) -> None:
    crowned(context)
    back_up(context, vault)
    with pytest.raises(BadInput, match="must survive the loss"):
        bring_back(replace(context, store=vault.store, catalog=vault.catalog), vault)


def test_the_drill_scores_the_restored_champion_as_it_was_recorded(context: Context, vault: Vault) -> None:
    crowned(context, words={"a": "a", "number": "b"})  # says a wherever it stands, so half is wrong
    back_up(context, vault)
    before = contents(context)
    result = rehearse(context, vault, version=None, at=LATER)
    assert result.counts["test_rows"] == 4
    found = champion(context.catalog, "docs")
    assert found is not None
    assert result.counts["test_accuracy"] == found.metrics["test"]["accuracy"]
    assert result.message.startswith("version 1 came back from the backup of ")
    assert contents(context) == before


def test_the_drill_fails_when_the_champion_scores_otherwise(
    context: Context, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.champions import Keyword

    crowned(context)
    back_up(context, vault)
    predict = Keyword.predict
    monkeypatch.setattr(Keyword, "predict", lambda *given: predict(*given)[:, ::-1])
    with pytest.raises(GateFailed, match=r"is not what was promoted: .*test accuracy 0\.0, recorded 1\.0"):
        rehearse(context, vault, version=None, at=LATER)


def test_the_drill_fails_on_a_damaged_backup(context: Context, vault: Vault) -> None:
    crowned(context)
    back_up(context, vault)
    damage_one(vault, newest(vault))
    with pytest.raises(Corrupt, match="missing or altered"):
        rehearse(context, vault, version=None, at=LATER)


def test_the_drill_fails_when_the_champion_is_in_no_backup(context: Context, vault: Vault) -> None:
    crowned(context)
    back_up(context, vault)
    crowned(context, seed=1)
    with pytest.raises(Corrupt, match=r"version 2, the champion of docs, is in no readable backup.*nightshift backup"):
        rehearse(context, vault, version=None, at=LATER)


def test_without_champion_and_backup_the_drill_has_nothing_to_do(context: Context, vault: Vault) -> None:
    result = rehearse(context, vault, version=None, at=LATER)
    assert (result.noop, result.message) == (True, "no champion and no backup yet: nothing to rehearse")


def test_the_drill_judges_by_the_label_that_was_learned(
    context: Context, vault: Vault, make_corpus: Callable[..., Corpus]
) -> None:
    crowned(context)
    back_up(context, vault)
    renamed = replace(context, corpus=make_corpus(train={**TRAIN, "label": "language", "slices": ["group"]}))
    assert rehearse(renamed, vault, version=None, at=LATER).counts["test_accuracy"] == 1.0
