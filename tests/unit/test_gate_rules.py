"""Rules of the suites that are not a threshold: what is not judged, and what does not matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from data_contracts.engine import rows as rows_module
from tasks.errors import GateFailed
from tests.gate_cases import GOOD_F1
from tests.gate_cases.splits import split_of
from tests.gated import DAY, Gated, document, documents, judge, scores
from tests.unit.test_gates import GOOD, STRICT, gated

__all__ = ["gated"]  # the fixture


def test_a_day_on_which_nothing_changed_passes_with_a_word_about_it(gated: Callable[..., Gated]) -> None:
    given = gated(gates={"raw": {"min_documents": 50}, "clean": {"min_rows": 50}})
    given.raw(documents=0, unchanged=7, visited=7, errors=0)
    assert judge(given, "raw")["skipped"][0] == "documents_there: nothing changed: all 7 pages are as they were"
    given.clean([], unchanged=7)
    details = judge(given, "clean")
    assert details["passed"]
    assert "kept_or_unchanged: an empty delta: no page is new or changed" in details["skipped"]
    given.staging()
    assert judge(given, "splits")["passed"]


def test_few_changes_on_a_large_site_are_not_too_few_documents(gated: Callable[..., Gated]) -> None:
    given = gated(gates={"raw": {"min_documents": 50}, "clean": {"min_rows": 50}})
    given.raw(documents=1, unchanged=99)
    given.clean([], rejected=1, unchanged=99)
    assert judge(given, "raw")["passed"]
    details = judge(given, "clean")
    assert details["passed"] and "reject_rate" not in details["metrics"]
    assert "reject_rate: 1 documents are too few to judge (gates.clean.rates_from)" in details["skipped"]


@pytest.mark.parametrize(
    ("days", "last"),
    [
        ([{"rows": 40}], {"rows": 0, "unchanged": 40}),
        ([{"rows": 40}], {"rows": 1, "unchanged": 39}),
        ([{"rows": 40}, {"rows": 14}, {"rows": 90}, {"rows": 25}], {"rows": 13}),
        ([{"rows": 40, "rejected": 120}, {"rows": 0, "unchanged": 160}], {"rows": 40, "rejected": 120}),
        ([{"rows": 40, "rejected": 120}], {"rows": 0, "unchanged": 160}),
    ],
    ids=["nothing changed", "a page changed", "days of different size", "all is new once more", "much is rejected"],
)
def test_usual_nights_are_not_taken_for_a_fall_of_documents(
    days: list[dict[str, int]], last: dict[str, int], gated: Callable[..., Gated]
) -> None:
    given = gated()
    for number, counts in enumerate([*days, last], 11):
        rows, day = counts["rows"], f"2026-11-{number}"
        given.clean(documents(rows), day, **{name: count for name, count in counts.items() if name != "rows"})
        assert judge(given, "clean", day)["passed"]


def test_a_fall_from_few_documents_says_nothing(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.clean(documents(19), "2026-11-11")
    judge(given, "clean", "2026-11-11")
    given.clean(documents(1))
    told = judge(given, "clean")["skipped"]
    assert "kept_of_usual: 19 documents a night are too few to judge (gates.clean.rates_from)" in told


def test_rows_without_a_url_do_not_repeat_one(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.clean([document(i, url="") for i in range(40)])
    assert judge(given, "clean")["passed"]


def test_equal_texts_may_stay_when_exact_dedup_is_off(gated: Callable[..., Gated]) -> None:
    given = gated(clean={"dedup": {"exact": False}})
    rows = [document(i, digest="d") for i in range(40)]
    given.clean(rows)
    given.staging(**split_of(rows))
    for stage in ("clean", "splits"):
        details = judge(given, stage)
        assert details["passed"]
        assert any("clean.dedup.exact is off" in each for each in details["skipped"])


@pytest.mark.parametrize(
    ("sections", "vocabulary"),
    [
        ({"kind": "images", "train": {"recipe": "image_vgg16"}}, 2),
        ({"kind": {"table": {"columns": {"x": {"type": "number"}}}}, "train": {"recipe": "kmeans"}}, 1),
        ({"kind": "events", "train": {"recipe": "recommender"}}, 3),
    ],
    ids=["images", "table", "events"],
)
def test_what_has_no_words_needs_no_ten_of_them(
    gated: Callable[..., Gated], sections: dict[str, Any], vocabulary: int
) -> None:
    given = gated(**sections)
    given.features(labels={"csv": 20, "json": 20}, vocabulary=vocabulary)
    assert judge(given, "features")["passed"]


def test_a_strategy_of_the_snapshot_leaves_shares_unjudged(gated: Callable[..., Gated]) -> None:
    given = gated(split={"strategy": "time"}, gates=STRICT)
    given.clean(documents())
    given.staging(unassigned=documents())
    assert judge(given, "splits")["skipped"] == ["shares: strategy time divides at the snapshot"]


def test_without_a_champion_the_comparison_is_skipped_and_said_so(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.model(scores(GOOD_F1))
    details = judge(given, "model")
    assert details["passed"]
    assert details["skipped"] == ["comparison with the champion: there is no champion yet"]


def test_a_champion_that_learned_the_rows_that_judge_it_is_not_compared_with(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.model(scores({"csv": 0.7, "json": 0.7}), scores({"csv": 1.0, "json": 1.0}), trained_on={"validation": 6})
    details = judge(given, "model")
    assert "champion 3 was trained on 6 of the 100 rows that judge it" in details["skipped"][0]


def test_a_champion_that_learned_a_few_of_the_rows_is_still_compared_with(gated: Callable[..., Gated]) -> None:
    given = gated()
    given.model(scores({"csv": 0.7, "json": 0.7}), scores({"csv": 1.0, "json": 1.0}), trained_on={"validation": 5})
    with pytest.raises(GateFailed, match="macro_f1_below_champion"):
        judge(given, "model")


def test_classes_of_few_rows_and_new_classes_are_not_compared(gated: Callable[..., Gated]) -> None:
    given = gated(gates={"model": {"tolerance": 1}})
    given.model(scores({"csv": 0.1, "new": 0.2}, support=9), scores({"csv": 1.0}, support=9))
    details = judge(given, "model")
    assert details["skipped"] == ["classes: new, or of fewer than 10 rows (gates.model.class_from): csv, new"]


@pytest.mark.parametrize("fails", ["uid_once", "url_once", "digest_once"])
def test_repeats_are_found_however_far_apart_they_stand(
    fails: str, gated: Callable[..., Gated], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "ROWS_AT_ONCE", 7)
    given = gated()
    column = fails.removesuffix("_once")
    rows = documents()
    rows[39] = {**rows[39], column: rows[0][column]}
    given.clean(rows)
    with pytest.raises(GateFailed, match=rf"{fails} .*observed 2 of 40 rows") as failure:
        judge(given, "clean")
    assert str(failure.value).count("expect_column") == 1


@pytest.mark.parametrize("stage", ["clean", "splits"])
def test_more_rows_than_fit_at_once_are_judged_alike(
    stage: str, gated: Callable[..., Gated], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = gated(gates=STRICT)
    GOOD[stage](given)
    whole = judge(given, stage)
    monkeypatch.setattr(rows_module, "ROWS_AT_ONCE", 15)
    given.context.store.delete(f"gates/docs/{stage}/{DAY}/_manifest.json")
    assert judge(given, stage) == whole
