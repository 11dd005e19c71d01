"""A backup is whole, or not there: what it holds, what it shares, what it removes, what it survives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tasks.backup import backup, open_vault
from tasks.backups.vault import Backup, Vault
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt, StoreError
from tasks.model_registry import Registry, settled
from tasks.step import Context, StepResult
from tasks.store import open_store
from tests.champions import NOW, Beside, Killed, Lying, Mortal, crowned, keyword_corpus


@pytest.fixture
def context(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]) -> Context:
    return make_context(keyword_corpus(make_corpus, backup={"keep": 2}))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(open_store(f"file://{tmp_path}/backup", {}), "docs")


def night(number: int) -> datetime:
    return NOW + timedelta(days=number)


def back_up(context: Context, vault: Vault, number: int = 0, *, verify: bool = False) -> StepResult:
    return backup(context, vault, at=night(number), verify=verify)


def newest(vault: Vault) -> Backup:
    return vault.backups()[0][0]


def contents(vault: Vault) -> dict[str, str]:
    return {info.key: info.etag for info in vault.store.list("")}


def swapped(context: Context, vault: Vault) -> None:
    """A backup of version 1, and a version 2 with the same partitions."""
    crowned(context)
    back_up(context, vault)
    crowned(context, words={"a": "b", "b": "a"}, train=[{"text": "a", "label": "a", "url": "http://x"}])


def test_a_backup_holds_model_report_verdict_snapshot_partitions_and_registry(context: Context, vault: Vault) -> None:
    training = crowned(context)
    result = back_up(context, vault)
    assert result.counts["verified"] is True
    assert result.counts["files"] == result.counts["copied"] == len(newest(vault).manifest.files) > 0
    assert result.counts["bytes"] == sum(entry.size for entry in newest(vault).manifest.files)
    places = set(newest(vault).places)
    folders = [training.model(), training.report(), f"gates/docs/model/{training.run}"]
    folders += [f"snapshots/docs/{training.snapshot_id}", "dataset/docs/2026-11-19", "dataset/docs/2026-11-20"]
    for folder in folders:
        manifest = context.catalog.current(folder)
        assert manifest is not None
        assert places >= {f"{folder}/_manifest.json", f"{folder}/manifests/{manifest.digest()}.json"}
        assert places >= {entry.key for entry in manifest.files}
    assert places >= {"models/docs/registry/versions/000001.json", "models/docs/registry/audit/000001.json"}
    for key, sha256 in newest(vault).places.items():
        assert context.store.sha256(key) == sha256 == vault.store.sha256(newest(vault).objects[sha256].key)


def test_a_backed_up_training_is_settled(context: Context, vault: Vault) -> None:
    training = crowned(context)
    back_up(context, vault)
    reason = settled(context.catalog, "docs", training.run)
    assert reason == f"promoted as version 1 and backed up at {vault.catalog.url(newest(vault).folder)}"


def test_the_same_champion_again_is_a_no_op_that_writes_nothing(context: Context, vault: Vault) -> None:
    crowned(context)
    back_up(context, vault)
    before = contents(vault)
    result = back_up(context, vault, 1)
    assert (result.noop, result.counts["copied"], result.counts["verified"]) == (True, 0, True)
    assert contents(vault) == before


def test_what_an_earlier_backup_holds_is_not_copied_again(context: Context, vault: Vault) -> None:
    swapped(context, vault)
    first = newest(vault).manifest
    second = back_up(context, vault, 1)
    assert 0 < second.counts["copied"] < first.counts["files"]
    shared = set(newest(vault).objects) & set(vault.backups()[0][1].objects)
    assert len(shared) == second.counts["files"] - second.counts["copied"] > 0


@pytest.mark.parametrize("damage", ["lost", "altered", "inventory altered", "inventory unreadable"])
def test_a_damaged_backup_is_no_no_op_and_is_mended(context: Context, vault: Vault, damage: str) -> None:
    crowned(context)
    back_up(context, vault)
    made = newest(vault)
    entry = made.manifest.files[3]
    inventory = f"{made.folder}/_manifest.json"
    if damage == "lost":
        vault.store.delete(entry.key)
    elif damage == "altered":
        vault.store.write(entry.key, b"x" * entry.size)
    elif damage == "inventory altered":
        vault.store.write(inventory, vault.store.read(inventory).replace(entry.sha256.encode(), b"0" * 64))
    else:
        vault.store.write(inventory, b"{")
    result = back_up(context, vault, 1)
    assert (result.noop, result.counts["copied"]) == (False, 0 if "inventory" in damage else 1)
    vault.verify(newest(vault))
    assert back_up(context, vault, 2).noop


def test_rot_under_an_unchanged_etag_is_found_by_reading_all(
    context: Context, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowned(context)
    back_up(context, vault)
    entry = newest(vault).manifest.files[0]
    etag = entry.etag
    vault.store.write(entry.key, b"x" * entry.size)
    stat = type(vault.store).stat

    def unaware(store: object, key: str) -> object:
        found = stat(vault.store, key)
        rotten = key == entry.key and vault.store.read(key).startswith(b"xx")
        return replace(found, etag=etag) if found and rotten else found

    monkeypatch.setattr(vault.store, "stat", lambda key: unaware(vault.store, key))
    assert back_up(context, vault, 1).noop
    result = back_up(context, vault, 2, verify=True)
    assert (result.noop, result.counts["copied"]) == (False, 1)
    vault.verify(newest(vault))


def test_only_the_newest_stay_and_take_nothing_away_from_each_other(context: Context, vault: Vault) -> None:
    for number in range(4):
        crowned(context, seed=number)
        result = back_up(context, vault, number)
    assert result.counts["removed"] == 1
    kept, bad = vault.backups()
    assert ([each.version for each in kept], bad) == ([4, 3], [])
    for each in kept:
        vault.verify(each)
    used = {entry.key for each in kept for entry in each.manifest.files}
    assert {key for key in contents(vault) if key.startswith("_objects/")} == used
    assert not [key for key in contents(vault) if key.startswith(("docs/000001", "docs/000002"))]


def test_the_backup_just_made_stays_whatever_the_clock_says(context: Context, vault: Vault) -> None:
    for number in (9, 8, 7):
        crowned(context, seed=number)
        back_up(context, vault, number)
    kept = {each.version for each in vault.backups()[0]}
    assert kept == {1, 3}


def test_an_unreadable_old_inventory_keeps_its_objects_and_stops_no_backup(context: Context, vault: Vault) -> None:
    crowned(context)
    back_up(context, vault)
    old = newest(vault)
    vault.store.write(f"{old.folder}/_manifest.json", b"{")
    for number in (1, 2, 3):
        crowned(context, seed=number)
        back_up(context, vault, number)
    assert [each.version for each in vault.backups()[0]] == [4, 3]
    assert len(vault.backups()[1]) == 1
    assert all(vault.store.stat(entry.key) for entry in old.manifest.files)


@pytest.mark.parametrize("damage", ["lost", "altered"])
def test_a_part_damaged_in_the_store_is_named_and_earlier_backups_stay(
    context: Context, vault: Vault, damage: str
) -> None:
    crowned(context)
    back_up(context, vault)
    crowned(context, seed=1)
    part = context.catalog.load("dataset/docs/2026-11-19", made_by="upload").files[0]
    if damage == "lost":
        context.store.delete(part.key)
    else:
        context.store.write(part.key, b"x" * part.size)
    with pytest.raises(Corrupt, match=rf"version 2 of docs cannot be backed up: .*{part.key} .*Earlier backups stay"):
        back_up(context, vault, 1)
    assert [each.version for each in vault.backups()[0]] == [1]
    vault.verify(newest(vault))


@pytest.mark.parametrize("damage", ["lost", "altered"])
def test_a_manifest_damaged_in_the_store_is_named(context: Context, vault: Vault, damage: str) -> None:
    training = crowned(context)
    key = f"snapshots/docs/{training.snapshot_id}/manifests/{training.snapshot.digest()}.json"
    if damage == "lost":
        context.store.delete(key)
    else:
        manifest = json.loads(context.store.read(key))
        manifest["files"][0]["rows"] = 99
        context.store.write(key, json.dumps(manifest).encode())
    with pytest.raises(Corrupt, match=f"snapshots/docs/{training.snapshot_id}"):
        back_up(context, vault)
    assert vault.backups() == ([], [])


def test_a_backup_killed_after_any_write_is_completed_by_its_retry(
    context: Context, vault: Vault, tmp_path: Path
) -> None:
    # Two old ones, so that the removal of one is on the way too.
    for number in (0, 1):
        crowned(context, seed=number)
        back_up(context, vault, number)
    crowned(context, seed=2)
    for last in range(1, 500):
        shutil.copytree(tmp_path / "backup", tmp_path / f"backup-{last}")
        fresh = Vault(open_store(f"file://{tmp_path}/backup-{last}", {}), "docs")
        dying = Vault(Mortal(fresh.store, last), "docs")
        try:
            back_up(context, dying, 2)
        except Killed:
            pass
        else:
            break
        for whole in fresh.backups()[0]:  # never a backup that is only half there
            fresh.verify(whole)
        back_up(context, fresh, 2)
        kept, bad = fresh.backups()
        assert ([each.version for each in kept], bad) == ([3, 2], [])
        for whole in kept:
            fresh.verify(whole)
        assert {key for key in contents(fresh) if key.startswith("_objects/")} == {
            entry.key for each in kept for entry in each.manifest.files
        }
        assert not [key for key in contents(fresh) if key.startswith("docs/000001")]
        assert back_up(context, fresh, 3).noop
    assert last > 20


def test_a_backup_that_loses_what_it_found_to_another_ones_removals_copies_it(context: Context, vault: Vault) -> None:
    swapped(context, vault)

    def removals() -> None:
        assert len(vault.thin(1, spare="")) == 1  # as one that has an inventory of its own, and no use for the first

    result = back_up(context, Vault(Beside(vault.store, "docs/000002-", removals), "docs"), 1)
    assert result.counts["copied"] > result.counts["files"] / 2
    assert [each.version for each in vault.backups()[0]] == [2]
    vault.verify(newest(vault))


def test_removals_that_take_from_a_backup_made_meanwhile_do_not_leave_it_one(context: Context, vault: Vault) -> None:
    swapped(context, vault)
    made = []

    def whole() -> None:
        made.append(back_up(context, vault, 1))
        vault.verify(newest(vault))

    removing = Vault(Beside(vault.store, "_objects/", whole), "docs")
    with pytest.raises(StoreError, match=r"docs/000002-.* it counts as no backup\. Run `nightshift backup"):
        removing.thin(1, spare="")
    assert (made[0].noop, vault.backups()) == (False, ([], []))
    assert not back_up(context, vault, 2).noop
    assert [each.version for each in vault.backups()[0]] == [2]
    vault.verify(newest(vault))


def test_a_vault_that_does_not_return_what_it_was_given_makes_no_backup(context: Context, vault: Vault) -> None:
    crowned(context)
    with pytest.raises(Corrupt, match=r"_objects/docs/.* is not what was written.*look at the backup store's disks"):
        back_up(context, Vault(Lying(vault.store, "_objects/docs/"), "docs"))
    assert vault.backups() == ([], [])


def test_a_killed_backup_is_remembered_in_the_registry_by_its_retry(context: Context, vault: Vault) -> None:
    crowned(context)
    back_up(context, vault)
    context.store.delete("models/docs/registry/backups/000001.json")
    assert back_up(context, vault, 1).noop
    backed = Registry(context.catalog, "docs").backed(1)
    assert backed is not None and backed.verified


def test_without_a_champion_there_is_nothing_to_back_up(context: Context, vault: Vault) -> None:
    with pytest.raises(BadInput, match="docs has no champion yet: run `nightshift promote` first"):
        back_up(context, vault)


@pytest.mark.parametrize("where", ["", "/inside", "/.."])
def test_a_backup_within_the_store_is_refused(context: Context, where: str) -> None:
    crowned(context)
    root = Path(f"{context.store.url.removeprefix('file://')}{where}").resolve()
    with pytest.raises(BadInput, match=r"must survive the loss of what it backs up.*NIGHTSHIFT_BACKUP"):
        back_up(context, Vault(open_store(f"file://{root}", {}), "docs"))


def test_no_backup_store_is_bad_input(context: Context) -> None:
    with pytest.raises(BadInput, match="set NIGHTSHIFT_BACKUP"):
        open_vault(context, None)
