"""The step upload: nothing is visible before it is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt, Quarantined
from tasks.split import split
from tasks.step import Context
from tasks.store.base import ObjectInfo
from tasks.store.local import LocalStore
from tasks.upload import upload
from tests.published import Days, texts

DAY = "2026-11-20"


@pytest.fixture
def days(make_context: Callable[..., Context], tmp_path: Path) -> Days:
    days = Days(make_context(), tmp_path)
    days.clean(DAY, texts(50), gone=["http://gone"], rejected=["http://bad"])
    split(days.context, DAY)
    return days


def published(days: Days) -> Manifest:
    return days.context.catalog.load(f"dataset/docs/{DAY}", made_by="upload")


def root(days: Days) -> Path:
    assert isinstance(days.context.store, LocalStore)
    return days.context.store.root


def test_what_was_split_is_published_byte_by_byte(days: Days) -> None:
    result = upload(days.context, DAY)
    staged = days.context.catalog.load(f"staging/docs/{DAY}", made_by="split")
    assert [(e.role, e.sha256, e.rows) for e in published(days).files] == [
        (e.role, e.sha256, e.rows) for e in staged.files
    ]
    for entry in published(days).files:
        assert entry.key.startswith(f"dataset/docs/{DAY}/{entry.role}/")
        assert days.context.store.sha256(entry.key) == entry.sha256
    assert result.counts == staged.counts
    assert published(days).inputs[0].digest == staged.digest()


def test_a_partition_needs_nothing_of_staging_once_it_is_published(days: Days) -> None:
    upload(days.context, DAY)
    for entry in published(days).files:
        assert not entry.key.startswith(("staging/", "clean/"))


def test_published_and_intact_is_a_noop(days: Days) -> None:
    assert not upload(days.context, DAY).noop
    assert upload(days.context, DAY).noop


def test_a_damaged_published_file_is_published_again_and_the_others_left_alone(days: Days) -> None:
    upload(days.context, DAY)
    first, *others = published(days).files
    before = {entry.key: days.context.store.stat(entry.key) for entry in others}
    (root(days) / first.key).write_bytes(b"damaged")
    assert not upload(days.context, DAY).noop
    assert days.context.store.sha256(first.key) == first.sha256
    assert {entry.key: days.context.store.stat(entry.key) for entry in others} == before


def test_a_store_that_altered_the_bytes_is_found_out_before_the_pointer_moves(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = LocalStore.copy

    def lying(self: LocalStore, key: str, target: str) -> ObjectInfo:
        info = copy(self, key, target)
        data = bytearray((self.root / target).read_bytes())
        data[-1] ^= 1
        (self.root / target).write_bytes(data)
        return info

    monkeypatch.setattr(LocalStore, "copy", lying)
    with pytest.raises(Corrupt, match=r"is not what was published: .* the earlier version stays current"):
        upload(days.context, DAY)
    assert days.context.catalog.current(f"dataset/docs/{DAY}") is None
    monkeypatch.undo()
    assert not upload(days.context, DAY).noop
    assert not days.context.catalog.damaged(published(days))


def test_readers_keep_the_earlier_version_until_the_new_one_is_whole(
    days: Days, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(days.context, DAY)
    before = published(days)
    days.clean(DAY, texts(60))
    split(days.context, DAY)
    copies: list[str] = []

    def dying(self: LocalStore, key: str, target: str) -> ObjectInfo:
        if copies:
            raise KeyboardInterrupt
        copies.append(target)
        return LocalStore.upload(self, self.root / key, target)

    monkeypatch.setattr(LocalStore, "copy", dying)
    with pytest.raises(KeyboardInterrupt):
        upload(days.context, DAY)
    assert published(days) == before
    assert not days.context.catalog.damaged(before)
    monkeypatch.undo()
    upload(days.context, DAY)
    assert sum(entry.rows for entry in published(days).of_role("train", "validation", "test")) == 60
    # Who trained on the earlier one still finds all of it.
    assert not days.context.catalog.damaged(days.context.catalog.at(f"dataset/docs/{DAY}", before.digest()))


def test_without_verification_nothing_is_read_back(
    days: Days, make_corpus: Callable[..., Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    sha256 = LocalStore.sha256

    def counting(self: LocalStore, key: str) -> str:
        read.append(key)
        return sha256(self, key)

    monkeypatch.setattr(LocalStore, "sha256", counting)
    context = days.context
    upload(Context(make_corpus(upload={"verify": False}), context.store, context.catalog, context.log), DAY)
    assert read == []


def test_an_empty_partition_is_published_too(days: Days) -> None:
    days.clean("2026-11-21")
    split(days.context, "2026-11-21")
    upload(days.context, "2026-11-21")
    assert days.context.catalog.load("dataset/docs/2026-11-21", made_by="upload").files == ()


def test_nothing_split_names_the_step_to_run(days: Days) -> None:
    with pytest.raises(BadInput, match="run `nightshift split --corpus docs --partition 2026-11-21` first"):
        upload(days.context, "2026-11-21")


def test_a_quarantined_partition_is_not_published(days: Days) -> None:
    staged = days.context.catalog.load(f"staging/docs/{DAY}", made_by="split")
    days.context.catalog.quarantine.put(staged, stage="splits", failures=["uid in two splits"], at="now")
    with pytest.raises(Quarantined, match="uid in two splits"):
        upload(days.context, DAY)


def test_an_altered_staged_file_is_never_published(days: Days) -> None:
    staged = days.context.catalog.load(f"staging/docs/{DAY}", made_by="split")
    path = root(days) / staged.files[0].key
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(Corrupt, match=f"run `nightshift split --corpus docs --partition {DAY}` again"):
        upload(days.context, DAY)
    assert days.context.catalog.current(f"dataset/docs/{DAY}") is None
