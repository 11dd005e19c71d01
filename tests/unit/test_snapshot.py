"""From clean partitions to a snapshot, through the real steps split and upload."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tasks.config import Corpus
from tasks.config.clean import Near
from tasks.resolution import shuffle
from tasks.split import split
from tasks.splits.base import Ratios
from tasks.splits.hash import by_hash
from tasks.step import Context
from tasks.store.local import LocalStore
from tasks.text.minhash import signatures
from tests.published import LOREM, Days, document, texts, uid


@pytest.fixture
def days(make_context: Callable[..., Context], tmp_path: Path) -> Days:
    return Days(make_context(), tmp_path)


def split_of(url: str) -> str:
    return by_hash([uid(url)], Ratios(train=0.8, validation=0.1, test=0.1), 0)[0]


def a_url_in(split: str, start: int = 0) -> str:
    return next(f"http://{split}/{n}" for n in range(start, start + 1000) if split_of(f"http://{split}/{n}") == split)


def test_a_snapshot_has_every_document_of_every_day(days: Days) -> None:
    days.publish("2026-11-20", *texts(20))
    days.publish("2026-11-21", *texts(20, start=20))
    made = days.snapshot()
    assert made.texts() == {row["url"]: row["text"] for row in texts(40)}
    counts = made.result.counts
    assert counts["train"] + counts["validation"] + counts["test"] == 40
    assert counts["partitions"] == 2
    assert counts["removed"] == {}
    assert counts["quarantined"] == []
    assert counts["settled"] is None
    assert sum(counts["labels"]["a"].values()) == 40
    assert {row["partition"] for row in made.rows()} == {"2026-11-20", "2026-11-21"}


def test_a_night_on_which_nothing_changed_makes_no_new_snapshot(days: Days) -> None:
    days.publish("2026-11-20", *texts(20))
    before = days.snapshot()
    days.publish("2026-11-21")
    after = days.snapshot()
    assert after.result.noop
    assert after.result.manifest == before.result.manifest


def test_a_night_that_only_deletes_makes_a_new_one(days: Days) -> None:
    days.publish("2026-11-20", *texts(20))
    before = days.snapshot()
    days.publish("2026-11-21", gone=[texts(1)[0]["url"]])
    assert days.snapshot().result.manifest != before.result.manifest


def test_rows_have_the_columns_that_training_reads(days: Days) -> None:
    days.publish("2026-11-20", *texts(20))
    for row in days.snapshot().rows():
        assert list(row) == [
            "uid",
            "url",
            "text",
            "label",
            "language",
            "length",
            "group",
            "timestamp",
            "digest",
            "partition",
        ]
        assert split_of(row["url"]) in ("train", "validation", "test")
        assert row["uid"] == uid(row["url"])


def test_the_latest_version_of_a_page_counts(days: Days) -> None:
    days.publish("2026-11-20", document("http://a", "old words"), document("http://b", "other words"))
    days.publish("2026-11-21", document("http://a", "new words"))
    made = days.snapshot()
    assert made.texts() == {"http://a": "new words", "http://b": "other words"}
    assert made.removed == {("http://a", "2026-11-20"): ("superseded", None)}


def test_a_deleted_page_goes_and_comes_back_with_its_next_version(days: Days) -> None:
    days.publish("2026-11-20", document("http://a", "first words"), document("http://b", "other words"))
    days.publish("2026-11-21", gone=["http://a"])
    made = days.snapshot()
    assert made.texts() == {"http://b": "other words"}
    assert made.removed == {("http://a", "2026-11-20"): ("deleted", None)}
    days.publish("2026-11-22", document("http://a", "words again"))
    made = days.snapshot()
    assert made.texts() == {"http://a": "words again", "http://b": "other words"}
    assert made.removed == {("http://a", "2026-11-20"): ("superseded", None)}


def test_a_deletion_of_an_earlier_day_takes_nothing_later(days: Days) -> None:
    days.publish("2026-11-20", gone=["http://a"])
    days.publish("2026-11-21", document("http://a", "words"))
    assert days.snapshot().texts() == {"http://a": "words"}


def test_a_page_whose_newest_version_was_rejected_is_no_longer_what_it_was(days: Days) -> None:
    days.publish("2026-11-20", document("http://a", "good words"), document("http://b", "other words"))
    days.publish("2026-11-21", rejected=["http://a"])
    made = days.snapshot()
    assert made.texts() == {"http://b": "other words"}
    assert made.removed == {("http://a", "2026-11-20"): ("rejected", None)}


def test_a_version_rejected_the_same_day_as_one_was_kept_takes_nothing(days: Days) -> None:
    days.publish("2026-11-20", document("http://a", "words"), rejected=["http://a"])
    assert days.snapshot().texts() == {"http://a": "words"}


def test_an_equal_text_of_another_page_counts_once_and_the_earliest_stays(days: Days) -> None:
    first, second = a_url_in("train"), a_url_in("train", start=1000)
    days.publish("2026-11-20", document(first, "same words"))
    days.publish("2026-11-21", document(second, "same words"))
    made = days.snapshot(train={"recipe": "tfidf_forest", "near": None})
    assert list(made.texts()) == [first]
    assert made.removed == {(second, "2026-11-21"): ("duplicate", uid(first))}


def test_an_equal_text_comes_back_when_the_page_it_repeated_changes(days: Days) -> None:
    first, second = a_url_in("train"), a_url_in("train", start=1000)
    days.publish("2026-11-20", document(first, "same words"))
    days.publish("2026-11-21", document(second, "same words"))
    days.publish("2026-11-22", document(first, "words that differ from that"))
    assert set(days.snapshot().texts()) == {first, second}


@pytest.mark.parametrize(("other", "stays"), [("validation", "validation"), ("test", "test")])
def test_train_gives_way_to_the_splits_that_judge(days: Days, other: str, stays: str) -> None:
    early, late = a_url_in("train"), a_url_in(other)
    days.publish("2026-11-20", document(early, LOREM), *texts(5))
    days.publish("2026-11-21", document(late, LOREM + "but one"))
    made = days.snapshot()
    assert late in made.texts(stays)
    assert early not in made.texts()
    assert made.removed == {(early, "2026-11-20"): ("near_duplicate", uid(late))}


def test_no_two_splits_share_a_text_that_is_nearly_the_same(days: Days) -> None:
    variants = [
        document(f"http://v/{n}", LOREM * 3 + " ".join(f"tail{n % 5}x{i}" for i in range(n % 3))) for n in range(60)
    ]
    days.publish("2026-11-20", *variants[:30], *texts(20))
    days.publish("2026-11-21", *variants[30:])
    near = Near()
    rows = days.snapshot().rows()
    signed = signatures([row["text"] for row in rows], near)
    for i in range(len(rows)):
        for j in range(i):
            assert (signed[i] == signed[j]).mean() < near.threshold


def test_near_duplicates_stay_where_nobody_wants_them_removed(days: Days) -> None:
    days.publish("2026-11-20", document("http://a", LOREM), document("http://b", LOREM + "more"))
    assert len(days.snapshot().texts()) == 1
    assert len(days.snapshot(train={"recipe": "tfidf_forest", "near": None}).texts()) == 2


@pytest.mark.parametrize("strategy", ["time", "kfold", "stratified"])
def test_strategies_that_see_everything_are_resolved_here(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], tmp_path: Path, strategy: str
) -> None:
    ratios = {"train": 0.6, "validation": 0.2, "test": 0.2}
    corpus = make_corpus(split={"strategy": strategy, "ratios": ratios})
    days = Days(make_context(corpus=corpus), tmp_path)
    rows = [
        row | {"label": "ab"[n % 2], "timestamp": datetime(2026, 1, 1 + n, tzinfo=UTC)}
        for n, row in enumerate(texts(20))
    ]
    days.publish("2026-11-20", *rows[:10])
    days.publish("2026-11-21", *rows[10:])
    assert {entry.role for entry in days.context.catalog.load("dataset/docs/2026-11-20", made_by="").files} == {
        "unassigned"
    }
    made = days.snapshot()
    assert {name: made.result.counts[name] for name in ratios} == {"train": 12, "validation": 4, "test": 4}
    if strategy == "time":
        assert max(r["timestamp"] for r in made.rows("train")) < min(r["timestamp"] for r in made.rows("validation"))
        assert max(r["timestamp"] for r in made.rows("validation")) < min(r["timestamp"] for r in made.rows("test"))
    if strategy == "stratified":
        assert made.result.counts["labels"] == {label: {"test": 2, "train": 6, "validation": 2} for label in "ab"}


def test_every_fold_judges_once(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    def split_section(fold: int) -> dict[str, Any]:
        return {"strategy": {"kfold": {"folds": 4, "fold": fold}}}

    days = Days(make_context(corpus=make_corpus(split=split_section(0))), tmp_path)
    days.publish("2026-11-20", *texts(22))
    folds = [set(days.snapshot(split=split_section(fold)).texts("validation")) for fold in range(4)]
    assert sorted(len(fold) for fold in folds) == [5, 5, 6, 6]
    assert len(set().union(*folds)) == 22
    # Nothing is split anew for another fold: the partition's files do not depend on it.
    corpus = make_corpus(split=split_section(3))
    assert split(Context(corpus, days.context.store, days.context.catalog, days.context.log), "2026-11-20").noop


def test_other_ratios_divide_what_was_ingested_before_as_well(days: Days) -> None:
    days.publish("2026-11-20", *texts(40))
    made = days.snapshot(split={"ratios": {"train": 0, "validation": 0, "test": 1}})
    assert made.result.counts["test"] == 40


def test_only_the_latest_days_if_the_training_wants_so(days: Days) -> None:
    for n, day in enumerate(("2026-11-20", "2026-11-21", "2026-11-22")):
        days.publish(day, *texts(2, start=2 * n))
    made = days.snapshot(train={"recipe": "tfidf_forest", "history": 2})
    assert {row["partition"] for row in made.rows()} == {"2026-11-21", "2026-11-22"}
    assert made.manifest.details["partitions"] == ["2026-11-21", "2026-11-22"]


def test_the_same_data_is_the_same_snapshot_and_not_made_twice(days: Days) -> None:
    days.publish("2026-11-20", *texts(20))
    first, again = days.snapshot(), days.snapshot()
    assert (first.result.noop, again.result.noop) == (False, True)
    assert first.manifest == again.manifest
    assert again.result.counts == first.result.counts


def test_a_snapshot_made_again_has_the_same_bytes(days: Days) -> None:
    days.publish("2026-11-20", *texts(30), document("http://a", LOREM))
    days.publish("2026-11-21", *texts(30, start=30), document("http://b", LOREM + "more"))
    first = days.snapshot()
    for entry in first.manifest.files:
        days.context.store.delete(entry.key)
    again = days.snapshot()
    assert not again.result.noop
    assert again.manifest.digest() == first.manifest.digest()


def test_a_snapshot_depends_on_data_split_and_near_and_nothing_else(days: Days) -> None:
    days.publish("2026-11-20", *texts(20))
    name = days.snapshot().result.partition
    assert days.snapshot(clean={"shards": 7}, owner="another").result.partition == name
    assert days.snapshot(train={"recipe": {"tfidf_forest": {"trees": 3}}}).result.partition == name
    assert days.snapshot(split={"seed": 1}).result.partition != name
    assert days.snapshot(train={"recipe": "tfidf_forest", "near": None}).result.partition != name
    days.publish("2026-11-21", *texts(1, start=20))
    assert days.snapshot().result.partition != name


def test_rows_come_in_an_order_that_has_nothing_to_do_with_time(days: Days) -> None:
    days.publish("2026-11-20", *texts(50))
    days.publish("2026-11-21", *texts(50, start=50))
    rows = days.snapshot().rows("train")
    assert [row["uid"] for row in rows] == sorted(row["uid"] for row in rows)


def test_files_are_bounded_in_rows_and_in_text(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "FILE_ROWS", 10)
    monkeypatch.setattr(shuffle, "FILE_CHARACTERS", 10_000)
    monkeypatch.setattr(shuffle, "BUFFER_BYTES", 5_000)
    long = [document(f"http://long/{n}", f"{n} " + " ".join(f"v{n}y{i}" for i in range(2000))) for n in range(5)]
    days.publish("2026-11-20", *texts(60), *long)
    made = days.snapshot()
    assert len(made.rows()) == 65
    files = made.manifest.of_role("train", "validation", "test")
    assert max(entry.rows for entry in files) <= 11
    for entry in files:
        assert isinstance(days.context.store, LocalStore)
        lengths = pq.read_table(days.context.store.root / entry.key)["length"].to_pylist()
        assert sum(lengths) - max(lengths) <= 10_000
    assert [row["uid"] for row in made.rows("train")] == sorted(row["uid"] for row in made.rows("train"))
