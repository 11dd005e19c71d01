"""Other filters over a clean shard whose filters change texts: what can be told, and what must be cleaned anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.cleaning.rejudge import TEXT_BEHIND, Impossible, plan
from tests.unit.test_rejudge import clean, cleaned, filtered, page, stored

LINE = "This is a sentence about the trains of the night, and about nobody else.\n"
PAGES = [
    page(
        n,
        f"{'Home' if n % 2 else 'This line has no end'}\n{LINE * n}"
        + "".join(
            f"Write to p{n}.{i}@example.net about it, please, whenever you have the time.\n" for i in range(n % 3)
        )
        + f"Number {n} is where the story of this very night comes to its end.",
        language="en" if n % 4 else "et",
    )
    for n in range(1, 24)
]


def chain(**changes: Any) -> list[Any]:
    """FineWeb's chain: filters before, between and behind those that change texts."""
    params = {
        "length": {"min_words": 60, "languages": {"et": {"min_words": 100}}},
        "gopher_quality": {"min_words": 30, "max_words": 250, "min_stop_words": 2},
        "gopher_repetition": {"max_lines": None, "max_line_characters": None, "max_top": {}, "max_repeated": {}},
        "c4_lines": {},
        "c4": {"min_sentences": 3},
        "pii": {},
        "fineweb_quality": {"max_repeated_characters": 0.87},
    }
    return [{name: each | changes.get(name, {})} for name, each in params.items()]


EXACT: list[dict[str, Any]] = [
    {},
    {"length": {"min_words": 40}},
    {"gopher_quality": {"max_words": 300}},
    {"fineweb_quality": {"max_repeated_characters": 0.8}},
    {"fineweb_quality": {"short_line": 75, "max_short_lines": 0.5}},
    {"length": {"min_words": 30}, "fineweb_quality": {"max_repeated_characters": 0.8}},
]
TIGHTER: list[dict[str, Any]] = [
    {"length": {"min_words": 80}},
    {"length": {"max_words": 200}},
    {"gopher_quality": {"min_stop_words": 5, "max_words": 220}},
    {"gopher_repetition": {"max_top": {2: 0.07}}},
    {"c4": {"min_sentences": 8}},
    {"length": {"min_words": 80}, "gopher_quality": {"max_words": 300}, "c4": {"min_sentences": 9}},
    {"length": {"min_words": 110}, "fineweb_quality": {"max_repeated_characters": 0.8}},
]


@pytest.mark.parametrize("change", EXACT)
def test_the_rows_are_those_of_cleaning_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    before, after = clean(*chain()), clean(*chain(**change))
    old = cleaned(PAGES, before, tmp_path / "old")
    expected = cleaned(PAGES, after, tmp_path / "anew")
    assert len(old["documents"]) > 5
    assert (expected == old) == (change == {})
    assert not plan(stored(before), after).tightens
    assert filtered(before, after, tmp_path / "old", tmp_path / "new")[0] == expected


@pytest.mark.parametrize("change", TIGHTER)
def test_a_tighter_bound_drops_the_documents_that_cleaning_anew_drops(tmp_path: Path, change: dict[str, Any]) -> None:
    before, after = clean(*chain()), clean(*chain(**change))
    old = cleaned(PAGES, before, tmp_path / "old")
    expected = cleaned(PAGES, after, tmp_path / "anew")
    found, _ = filtered(before, after, tmp_path / "old", tmp_path / "new")
    assert found["documents"] == expected["documents"]
    kept = {row["uid"]: row for row in old["documents"]}
    gone = [row for row in found["rejects"] if row["detail"] == TEXT_BEHIND]
    assert gone
    anew = {row["uid"]: row for row in expected["rejects"]}
    for row in gone:
        assert (row["reason"], row["value"]) == (anew[row["uid"]]["reason"], anew[row["uid"]]["value"])
        assert row["text"] == kept[row["uid"]]["text"]
    assert "@example.net" not in "".join(row["text"] for row in gone)
    assert [row["uid"] for row in found["rejects"]] == [row["uid"] for row in expected["rejects"]]


def test_a_bound_may_be_tightened_again_but_what_it_dropped_does_not_come_back(tmp_path: Path) -> None:
    before, tight, tighter = (clean(*chain(length={"min_words": words})) for words in (60, 80, 110))
    cleaned(PAGES, before, tmp_path / "old")
    filtered(before, tight, tmp_path / "old", tmp_path / "tight")
    again, _ = filtered(tight, tighter, tmp_path / "tight", tmp_path / "tighter")
    assert again["documents"] == cleaned(PAGES, tighter, tmp_path / "anew")["documents"]
    with pytest.raises(Impossible, match="has its text as other filters left it"):
        filtered(tight, before, tmp_path / "tight", tmp_path / "back")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (chain(), chain(pii={"kinds": ["ip"]}), "filter pii changed, which changes texts"),
        (chain(), chain(c4={"min_line_words": 6}), "more than the bounds of filter c4 changed.* pii behind it"),
        (chain(), chain(c4={"min_sentences": 2}), "filter c4 drops less than before"),
        (chain(), chain()[1:], "stand before one, are others now"),
        (chain()[:3], chain(), "are others now"),
        (chain(), [*chain(), {"length": {}}], "stands twice"),
    ],
)
def test_what_was_not_kept_cannot_be_judged(old: Any, new: Any, said: str) -> None:
    with pytest.raises(Impossible, match=said):
        plan(stored(clean(*old)), clean(*new))


def test_what_a_filter_behind_the_last_dropped_does_not_come_back(tmp_path: Path) -> None:
    before, after = clean(*chain(fineweb_quality={"max_repeated_characters": 0.8})), clean(*chain())
    cleaned(PAGES, before, tmp_path / "old")
    with pytest.raises(Impossible, match="a page comes back"):
        filtered(before, after, tmp_path / "old", tmp_path / "new")


def test_a_filter_may_be_added_behind_the_last(tmp_path: Path) -> None:
    before, after = clean(*chain()), clean(*chain(), {"decontamination": {"texts": ["Number 10 is where the story"]}})
    cleaned(PAGES, before, tmp_path / "old")
    expected = cleaned(PAGES, after, tmp_path / "anew")
    found, _ = filtered(before, after, tmp_path / "old", tmp_path / "new")
    assert found == expected
    assert "decontamination.shared" in {row["reason"] for row in found["rejects"]}
