"""The strategies by themselves."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.splits.base import SPLITS, STRATEGIES, Ratios
from tasks.splits.group import Group
from tasks.splits.hash import by_hash

RATIOS = Ratios(train=0.8, validation=0.1, test=0.1)


def documents(count: int, **columns: list[Any]) -> pa.Table:
    values: dict[str, list[Any]] = {
        "uid": [hashlib.sha256(str(n).encode()).hexdigest()[:32] for n in range(count)],
        "url": [f"http://host{n % 7}/library{n % 5}/page{n}" for n in range(count)],
        "label": [f"label{n % 3}" for n in range(count)],
        "group": [f"host{n % 7}" for n in range(count)],
        "timestamp": [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(count)],
        **columns,
    }
    return pa.table({name: pa.array(column) for name, column in values.items()})


def assign(name: str, table: pa.Table, ratios: Ratios = RATIOS, seed: int = 0, **params: Any) -> list[str]:
    strategy = STRATEGIES.get(name)
    splits = strategy(strategy.Params.model_validate(params), ratios, seed).assign(table)
    assert len(splits) == table.num_rows
    assert set(splits.to_pylist()) <= set(SPLITS)
    return list(splits.to_pylist())


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_every_strategy_is_a_function_of_the_documents(name: str) -> None:
    table = documents(200)
    assert assign(name, table) == assign(name, table)
    assert assign(name, table.slice(0, 0)) == []


@pytest.mark.parametrize("name", ["kfold", "latest", "stratified", "time"])
def test_the_order_in_which_documents_come_does_not_matter(name: str) -> None:
    table = documents(200)
    backwards = table.take(pa.array(range(199, -1, -1)))
    assert assign(name, backwards) == assign(name, table)[::-1]


@pytest.mark.parametrize("name", ["hash", "group"])
def test_a_frozen_strategy_looks_at_one_document_alone(name: str) -> None:
    table = documents(100)
    assert STRATEGIES.get(name).frozen
    assert assign(name, table) == [split for n in range(100) for split in assign(name, table.slice(n, 1))]


def test_hash_comes_near_the_ratios() -> None:
    counts = Counter(assign("hash", documents(5000)))
    assert abs(counts["train"] / 5000 - 0.8) < 0.02
    assert abs(counts["test"] / 5000 - 0.1) < 0.02


@given(st.lists(st.text(max_size=20), max_size=50), st.integers(0, 5))
def test_a_share_of_nothing_gets_nothing(keys: list[str], seed: int) -> None:
    assert set(by_hash(keys, Ratios(train=0, validation=1, test=0), seed)) <= {"validation"}
    assert set(by_hash(keys, Ratios(train=1, validation=0, test=0), seed)) <= {"train"}
    assert set(by_hash(keys, Ratios(train=0, validation=0, test=1), seed)) <= {"test"}


def test_splits_do_not_change_between_releases() -> None:
    # Every published partition relies on these: a change here would move documents from train to test.
    splits = by_hash("abcdefgh", Ratios(train=0.4, validation=0.3, test=0.3), 0)
    assert " ".join(splits) == "validation test test validation test train train train"


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60))
def test_no_group_straddles_splits(groups: list[str]) -> None:
    table = documents(len(groups), group=groups)
    seen: dict[str, set[str]] = {}
    for group, split in zip(groups, assign("group", table), strict=True):
        seen.setdefault(group, set()).add(split)
    assert all(len(splits) == 1 for splits in seen.values())


@pytest.mark.parametrize("pattern", [r"/library\d+/", r"/(library\d+)/page"])
def test_a_group_may_be_read_off_the_url(pattern: str) -> None:
    table = documents(200)
    seen: dict[str, set[str]] = {}
    for url, split in zip(table["url"].to_pylist(), assign("group", table, url=pattern), strict=True):
        seen.setdefault(url.split("/")[3], set()).add(split)
    assert len(seen) == 5
    assert all(len(splits) == 1 for splits in seen.values())


def test_a_document_without_a_group_is_one_of_its_own() -> None:
    table = documents(100, group=[None] * 100, url=[None] * 100)
    assert assign("group", table) == assign("hash", table)
    assert assign("group", table, url="library") == assign("hash", table)


def test_a_group_whose_pattern_is_no_regular_expression() -> None:
    with pytest.raises(ValidationError, match="not a regular expression"):
        Group.Params(url="(")


def test_time_trains_on_the_past_and_tests_on_the_newest() -> None:
    splits = assign("time", documents(100))
    assert splits == ["train"] * 80 + ["validation"] * 10 + ["test"] * 10


def test_time_takes_what_has_no_time_for_the_oldest() -> None:
    times = [None, datetime(1960, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]
    table = documents(3, timestamp=times)
    assert assign("time", table, Ratios(train=0.34, validation=0.33, test=0.33)) == ["train", "validation", "test"]


def test_folds_are_even_disjoint_and_complete() -> None:
    table = documents(103)
    validation = [{n for n, s in enumerate(assign("kfold", table, fold=f)) if s == "validation"} for f in range(5)]
    assert sorted(len(fold) for fold in validation) == [20, 20, 21, 21, 21]
    assert sorted(n for fold in validation for n in fold) == list(range(103))
    # What judges in the end is another fold than the one that chooses.
    assert {n for n, s in enumerate(assign("kfold", table, fold=0)) if s == "test"} == validation[1]


def test_stratified_gives_each_label_its_shares() -> None:
    labels = ["rare"] * 10 + ["common"] * 100 + [None] * 10
    splits = assign("stratified", documents(120, label=labels))
    for label, count in (("rare", 10), ("common", 100), (None, 10)):
        counts = Counter(split for split, mine in zip(splits, labels, strict=True) if mine == label)
        assert counts == {"train": count * 0.8, "validation": count * 0.1, "test": count * 0.1}


@given(st.integers(0, 40))
def test_shares_are_cut_to_the_nearest_document(count: int) -> None:
    counts = Counter(assign("time", documents(count)))
    assert abs(counts["train"] - 0.8 * count) <= 0.5
    assert abs(counts["train"] + counts["validation"] - 0.9 * count) <= 0.5


def test_the_latest_of_each_group_is_what_is_asked_for() -> None:
    ratios = Ratios(train=0.6, validation=0.2, test=0.2)
    table = documents(700)  # seven groups of a hundred
    splits = assign("latest", table, ratios)
    for group in range(7):
        mine = [(time, split) for name, time, split in _rows(table, splits) if name == f"host{group}"]
        assert [split for _, split in sorted(mine)] == ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
    small = documents(600, group=[f"user{n % 200}" for n in range(600)])
    splits = assign("latest", small, ratios)
    for group in range(200):
        mine = [split for name, _, split in _rows(small, splits) if name == f"user{group}"]
        assert mine[0] == "train"
        assert mine == sorted(mine, key=SPLITS.index)
    assert 0.1 < Counter(splits)["test"] / 600 < 0.2, "over all of them, though each has three rows"
    alone = documents(50, group=[None] * 50)
    assert set(assign("latest", alone, ratios)) == {"train"}


def _rows(table: pa.Table, splits: list[str]) -> list[tuple[str, datetime, str]]:
    return list(zip(table["group"].to_pylist(), table["timestamp"].to_pylist(), splits, strict=True))
