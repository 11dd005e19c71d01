"""The step split: a clean partition divided, again and again into the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt, Quarantined
from tasks.split import split
from tasks.step import Context
from tasks.store import Store
from tasks.store.local import LocalStore
from tests.published import Days, document, rows_of, texts, uid

DAY = "2026-11-20"
MakeDays = Callable[..., Days]


@pytest.fixture
def make_days(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], tmp_path: Path) -> MakeDays:
    """``make_days(split={...}, store=…)``"""

    def build(store: Store | None = None, **sections: Any) -> Days:
        return Days(make_context(corpus=make_corpus(**sections), store=store), tmp_path)

    return build


def staged(days: Days) -> Manifest:
    return days.context.catalog.load(f"staging/docs/{DAY}", made_by="split")


def urls(days: Days, role: str) -> set[str]:
    return {row["url"] for entry in staged(days).of_role(role) for row in rows_of(days.context, entry.key)}


def test_each_document_is_in_one_split_unchanged(make_days: MakeDays) -> None:
    days = make_days()
    clean = days.clean(DAY, texts(100))
    result = split(days.context, DAY)
    rows = [row for e in staged(days).of_role("train", "validation", "test") for row in rows_of(days.context, e.key)]
    before = [row for entry in clean.of_role("documents") for row in rows_of(days.context, entry.key)]
    assert sorted(rows, key=lambda r: str(r["url"])) == sorted(before, key=lambda r: str(r["url"]))
    assert {role: len(urls(days, role)) for role in ("train", "validation", "test")} == {
        role: result.counts[role] for role in ("train", "validation", "test")
    }
    assert result.counts["train"] > result.counts["test"] > 0


def test_a_document_is_in_the_same_split_whatever_else_arrives(make_days: MakeDays) -> None:
    days = make_days()
    days.clean(DAY, texts(50))
    split(days.context, DAY)
    before = {role: urls(days, role) for role in ("train", "validation", "test")}
    days.clean(DAY, [*texts(50, start=50), *reversed(texts(50))])
    assert not split(days.context, DAY).noop
    for role, members in before.items():
        assert members <= urls(days, role)


def test_another_seed_divides_otherwise(make_days: MakeDays) -> None:
    one, other = make_days(), make_days(split={"seed": 1})
    one.clean(DAY, texts(50))
    split(one.context, DAY)
    before = urls(one, "train")
    assert not split(other.context, DAY).noop
    assert urls(other, "train") != before


def test_a_group_is_never_divided(make_days: MakeDays) -> None:
    days = make_days(split={"strategy": "group", "ratios": {"train": 0.4, "validation": 0.3, "test": 0.3}})
    days.clean(DAY, [row | {"group": f"host{n % 12}"} for n, row in enumerate(texts(60))])
    split(days.context, DAY)
    groups = [
        {row["group"] for entry in staged(days).of_role(role) for row in rows_of(days.context, entry.key)}
        for role in ("train", "validation", "test")
    ]
    assert all(groups)
    assert sum(len(group) for group in groups) == 12


@pytest.mark.parametrize("strategy", ["time", "kfold", "stratified"])
def test_what_needs_all_documents_is_left_to_the_snapshot(make_days: MakeDays, strategy: str) -> None:
    days = make_days(split={"strategy": strategy})
    days.clean(DAY, texts(10))
    assert split(days.context, DAY).counts["unassigned"] == 10
    assert {entry.role for entry in staged(days).files} == {"unassigned"}


def test_deletions_and_the_uids_of_rejects_are_carried_along(make_days: MakeDays) -> None:
    days = make_days()
    days.clean(DAY, texts(5), gone=["http://gone"], rejected=["http://bad/1", "http://bad/2"])
    counts = split(days.context, DAY).counts
    assert (counts["deletions"], counts["rejected"]) == (1, 2)
    assert urls(days, "deletions") == {"http://gone"}
    (entry,) = staged(days).of_role("rejected")
    assert rows_of(days.context, entry.key)[0] == {"uid": uid("http://bad/1"), "url": "http://bad/1"}


def test_an_empty_partition_is_valid(make_days: MakeDays) -> None:
    days = make_days()
    days.clean(DAY)
    result = split(days.context, DAY)
    assert staged(days).files == ()
    assert set(result.counts.values()) == {0}


def test_the_same_again_is_a_noop_that_says_so(make_days: MakeDays) -> None:
    days = make_days()
    days.clean(DAY, texts(10))
    first = split(days.context, DAY)
    again = split(days.context, DAY)
    assert (first.noop, again.noop) == (False, True)
    assert again.counts == first.counts
    assert "done before" in again.message


def test_other_sections_of_the_configuration_do_not_void_the_noop(make_days: MakeDays) -> None:
    make_days().clean(DAY, texts(10))
    split(make_days().context, DAY)
    assert split(make_days(upload={"verify": False}, gates={"history": 3}).context, DAY).noop
    assert not split(make_days(split={"seed": 5}).context, DAY).noop


def test_a_lost_part_is_made_again_with_the_same_bytes(make_days: MakeDays) -> None:
    days = make_days()
    days.clean(DAY, texts(100), rejected=["http://bad"])
    split(days.context, DAY)
    before = staged(days)
    for entry in before.files:
        days.context.store.delete(entry.key)
    assert not split(days.context, DAY).noop
    assert staged(days).digest() == before.digest()


def test_killed_between_files_and_retried_it_gives_the_same_bytes(
    make_days: MakeDays, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    undisturbed = make_days()
    undisturbed.clean(DAY, texts(100))
    split(undisturbed.context, DAY)
    killed = make_days(store=LocalStore(f"file://{tmp_path}/other"))
    killed.clean(DAY, texts(100))
    upload, sent = LocalStore.upload, []

    def dying(self: LocalStore, path: Path, key: str) -> Any:
        sent.append(key)
        if len(sent) == 2:
            raise KeyboardInterrupt
        return upload(self, path, key)

    monkeypatch.setattr(LocalStore, "upload", dying)
    with pytest.raises(KeyboardInterrupt):
        split(killed.context, DAY)
    assert killed.context.catalog.current(f"staging/docs/{DAY}") is None
    monkeypatch.undo()
    split(killed.context, DAY)
    assert staged(killed).digest() == staged(undisturbed).digest()


def test_nothing_cleaned_names_the_step_to_run(make_days: MakeDays) -> None:
    with pytest.raises(BadInput, match=f"run `nightshift dedup --corpus docs --partition {DAY}` first"):
        split(make_days().context, DAY)


def test_a_quarantined_partition_is_not_split(make_days: MakeDays) -> None:
    days = make_days()
    bad = days.clean(DAY, texts(5))
    days.context.catalog.quarantine.put(bad, stage="clean", failures=["too few rows"], at="now")
    with pytest.raises(Quarantined, match="too few rows"):
        split(days.context, DAY)


def test_an_altered_clean_file_is_named_even_when_the_work_is_done(make_days: MakeDays) -> None:
    days = make_days()
    clean = days.clean(DAY, [document("http://a", "words")])
    split(days.context, DAY)
    assert isinstance(days.context.store, LocalStore)
    path = days.context.store.root / clean.files[0].key
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(Corrupt, match=f"{clean.files[0].key}; run `nightshift dedup --corpus docs --partition {DAY}`"):
        split(days.context, DAY)
