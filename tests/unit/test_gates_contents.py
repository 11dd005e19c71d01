"""Gate clean and the numbers of `stats`: when a night is held against usual ones, and when it says that it is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from data_contracts.base import SUITES
from data_contracts.engine.history import good_metrics
from tasks.errors import Corrupt, GateFailed
from tasks.release import release
from tasks.reports.statistics import Statistics
from tasks.stats import stats
from tasks.step import Step
from tests.gate_cases import Case, clean
from tests.gated import AT, DAY, Gated, documents, judge
from tests.unit.test_gates import gated

__all__ = ["gated"]  # the fixture

COMPARED = "length, languages, domains and shared words"
FEW = {"clean": {"usual_documents": 10, "usual_nights": 1}}


def skipped(details: dict[str, Any]) -> str:
    """Why nothing was compared."""
    (said,) = [each for each in details["skipped"] if each.startswith(COMPARED)]
    return str(said).removeprefix(f"{COMPARED}: ")


def nights(given: Gated, *lengths: int, day: int = 1) -> list[bool]:
    """Nights of documents so long each, one after the other: whether gate clean passed each."""
    passed = []
    for number, length in enumerate(lengths, day):
        name = f"2026-11-{number:02}"
        given.counted([{**row, "length": length} for row in documents()], name)
        with suppress(GateFailed):
            judge(given, "clean", name)
        passed.append(bool(verdict(given, name)["passed"]))
    return passed


def verdict(given: Gated, day: str) -> dict[str, Any]:
    manifest = given.context.catalog.current(f"gates/docs/clean/{day}")
    assert manifest is not None
    return manifest.details


def test_a_day_that_nobody_counted_is_judged_without_and_says_so(gated: Callable[..., Gated]) -> None:
    given = gated(gates=FEW)
    given.clean(documents())
    assert skipped(judge(given, "clean")) == "there are no statistics of this very partition (nightshift stats)"


def test_statistics_of_an_earlier_cleaning_tell_nothing(gated: Callable[..., Gated]) -> None:
    given = gated(gates=FEW)
    given.counted(documents())
    given.clean(documents(39))
    assert skipped(judge(given, "clean")) == "there are no statistics of this very partition (nightshift stats)"


def test_a_few_documents_are_neither_judged_nor_usual(gated: Callable[..., Gated]) -> None:
    given = gated(gates={"clean": {"usual_documents": 41, "usual_nights": 1}})
    assert nights(given, 30, 3000) == [True, True]
    details = verdict(given, "2026-11-02")
    assert skipped(details) == (
        "40 documents, with those unchanged, are too few to judge (gates.clean.usual_documents)"
    )
    assert "median_length" not in details["metrics"]


def test_usual_are_three_good_nights_and_no_fewer(gated: Callable[..., Gated]) -> None:
    given = gated(gates={"clean": {"usual_documents": 10}})
    assert nights(given, 100, 9000, 100, 9000, 100) == [True, True, True, False, True]
    assert skipped(verdict(given, "2026-11-03")) == (
        "2 good partition(s) of 10 documents or more before this one are too few (gates.clean.usual_nights)"
    )


def test_a_shorter_history_than_that_is_enough(gated: Callable[..., Gated]) -> None:
    given = gated(gates={"history": 1, "clean": {"usual_documents": 10}})
    assert nights(given, 100, 9000) == [True, False]


def test_what_a_person_releases_is_what_is_usual_from_then_on(gated: Callable[..., Gated]) -> None:
    given = gated(gates={"clean": {"usual_documents": 10}})
    assert nights(given, 100, 100, 100, 9000) == [True, True, True, False]
    release(given.context, "clean", "2026-11-04", reason="whole books now", by="ada", at=AT)
    judge(given, "clean", "2026-11-04")
    assert nights(given, 9000, 100, day=5) == [True, False], "one night is enough, if a person said so"


def test_a_few_new_pages_among_many_unchanged_ones_say_as_little_as_they_are_few(gated: Callable[..., Gated]) -> None:
    given = gated(gates=FEW)
    assert nights(given, 100) == [True]
    other = [{**row, "length": 9000, "language": "de"} for row in documents()]
    given.counted(other, "2026-11-02", unchanged=960)
    assert judge(given, "clean", "2026-11-02")["passed"]
    assert verdict(given, "2026-11-02")["metrics"]["language_shift"] == pytest.approx(0.04)
    assert verdict(given, "2026-11-02")["metrics"]["language.en"] == pytest.approx(0.96)
    given.counted(other, "2026-11-03", unchanged=20)
    with pytest.raises(GateFailed, match="length_of_usual"):
        judge(given, "clean", "2026-11-03")


def test_pages_drawn_anew_by_another_library_are_not_judged_anew(
    gated: Callable[..., Gated], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = gated(gates=FEW)
    assert nights(given, 100) == [True]
    verdicts = given.context.catalog.current("gates/docs/clean/2026-11-01")
    monkeypatch.setattr("tasks.stats.STEP", Step("stats", 99))
    assert not stats(given.context, "2026-11-01").noop
    judge(given, "clean", "2026-11-01")
    assert given.context.catalog.current("gates/docs/clean/2026-11-01") == verdicts


def test_no_more_verdicts_are_read_than_tell_what_is_usual(
    gated: Callable[..., Gated], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = gated(gates=FEW)
    nights(given, 100, 100, 100)
    monkeypatch.setattr("data_contracts.engine.history.LOOKED_AT", 2)
    found = good_metrics(given.context, "clean", before="2026-11-30", having="median_length")
    assert list(found.days) == ["2026-11-03", "2026-11-02"]


def test_counting_a_day_later_judges_it_again(gated: Callable[..., Gated]) -> None:
    given = gated(gates=FEW)
    nights(given, 100)
    given.clean([{**row, "length": 9000} for row in documents()])
    assert judge(given, "clean")["passed"]
    stats(given.context, DAY)
    with pytest.raises(GateFailed, match="length_of_usual"):
        judge(given, "clean")
    before = verdict(given, DAY)
    with pytest.raises(GateFailed):
        judge(given, "clean")
    assert verdict(given, DAY) == before


def test_a_rejected_day_may_be_counted_and_passes_under_other_thresholds(gated: Callable[..., Gated]) -> None:
    given = gated(gates=FEW)
    assert nights(given, 100, 9000) == [True, False]
    assert stats(given.context, "2026-11-02").noop
    wider = gated(gates={"clean": {**FEW["clean"], "max_length_change": 100}})
    assert judge(wider, "clean", "2026-11-02")["passed"]


def test_a_page_that_is_gone_is_named_with_the_command_that_draws_it(gated: Callable[..., Gated]) -> None:
    given = gated(gates=FEW)
    given.counted(documents())
    counted = given.context.catalog.current(f"stats/docs/{DAY}")
    assert counted is not None
    given.context.store.delete(counted.files[0].key)
    with pytest.raises(Corrupt, match=rf"run `nightshift stats --corpus docs --partition {DAY}` again"):
        judge(given, "clean")
    stats(given.context, DAY)
    assert judge(given, "clean")["passed"]


def test_one_language_in_place_of_another_is_a_shift_of_all(gated: Callable[..., Gated]) -> None:
    given = gated(gates={"clean": {**FEW["clean"], "max_language_shift": 1.0}})
    for day, language in (("2026-11-01", "en"), ("2026-11-02", "de")):
        given.counted([{**row, "language": language} for row in documents()], day)
        judge(given, "clean", day)
    assert verdict(given, "2026-11-02")["metrics"]["language_shift"] == 1.0


def test_rows_that_are_no_prose_are_not_counted_and_nothing_is_said_of_it(gated: Callable[..., Gated]) -> None:
    given = gated(kind={"table": {"columns": {"x": {"type": "number"}}}}, train={"recipe": "kmeans"})
    given.counted(documents())
    assert [each.folder for each in SUITES.get("clean").reads(given.context, DAY)] == [f"clean/docs/{DAY}"]


def breaks(*expectations: str) -> list[Case]:
    return [case for case in clean.CASES if case.fails in expectations]


@pytest.mark.parametrize("case", breaks("uid_there", "uid_form", "length_there", "language_there"), ids=str)
def test_a_day_of_faulty_rows_is_counted_and_the_gate_says_what_is_wrong(
    case: Case, gated: Callable[..., Gated]
) -> None:
    given = gated(gates=FEW)
    nights(given, 14)
    case.commit(given)
    assert stats(given.context, DAY).counts["documents"] == 40
    with pytest.raises(GateFailed, match=case.fails):
        judge(given, "clean")
    failures = verdict(given, DAY)["failures"]
    assert re.search(case.shows, "".join(failures))
    assert verdict(given, DAY)["metrics"]["length_of_usual"] == pytest.approx(1.0)


@pytest.mark.parametrize("case", breaks("columns"), ids=lambda case: case.shows)
def test_a_day_without_a_column_passes_stats_and_the_gate_says_what_is_wrong(
    case: Case, gated: Callable[..., Gated], capsys: pytest.CaptureFixture[str]
) -> None:
    given = gated(gates=FEW)
    case.commit(given)
    counted = stats(given.context, DAY)
    lacking = next((name for name in Statistics.COLUMNS if re.search(rf"\b{name}\b", case.shows)), None)
    # A column that is not counted, such as url, keeps nothing else from being counted.
    assert (given.context.catalog.current(f"stats/docs/{DAY}") is None) == (lacking is not None)
    if lacking:
        assert f"column {lacking} of documents-" in counted.message
        assert "gate clean will judge" in counted.message
        warned = capsys.readouterr().out
        assert "warning" in warned
        assert f"column {lacking} of documents-" in warned
    with pytest.raises(GateFailed, match="columns"):
        judge(given, "clean")
    assert re.search(case.shows, "".join(verdict(given, DAY)["failures"]))


@pytest.mark.parametrize("column", ["length", "uid", "text"])
def test_a_day_in_which_a_column_is_empty_is_judged_without_statistics(
    column: str, gated: Callable[..., Gated]
) -> None:
    given = gated(gates=FEW)
    given.counted([{**row, column: None} for row in documents()])
    with suppress(GateFailed):
        judge(given, "clean")
    assert skipped(verdict(given, DAY)) == "there are no statistics of this very partition (nightshift stats)"
