"""Pictures of partitions: whole SVG, whatever the numbers and the names are."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from tasks.reports import charts
from tasks.reports.colours import SERIES
from tasks.reports.statistics import EDGES
from tasks.reports.svg import decades, ticks, width_of

DAYS = [f"2026-11-{day:02}" for day in range(1, 31)]
EVIL = "</text><script>alert(1)</script>&\"'"


def parsed(picture: str) -> ET.Element:
    """The picture as XML: one element that is closed, with nothing left of its box."""
    root = ET.fromstring(picture)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for each in root.iter():
        for axis, most in (("x", width), ("cx", width), ("y", height), ("cy", height)):
            assert 0 <= float(each.attrib.get(axis, 0)) <= most, each.attrib
        assert 0 <= begin(each) <= end(each) <= width + 0.1, (each.attrib, each.text)
    return root


def begin(each: ET.Element) -> float:
    """The x at which a rectangle or a text begins."""
    before = {"middle": 0.5, "end": 1.0}.get(each.attrib.get("text-anchor", "start"), 0.0)
    return float(each.attrib.get("x", 0)) - before * wide(each)


def end(each: ET.Element) -> float:
    """The x at which it ends."""
    return begin(each) + wide(each)


def wide(each: ET.Element) -> float:
    if each.tag == "text":
        said = (each.text or "") + "".join(child.tail or "" for child in each)  # without its title
        return width_of(said, int(each.attrib["font-size"]))
    return float(each.attrib.get("width", 0))


def titles(picture: str) -> list[str]:
    return [each.text or "" for each in parsed(picture).iter("title")]


def test_lengths_are_bars_that_say_what_they_count() -> None:
    counts = [0] * (len(EDGES) + 1)
    counts[0], counts[8], counts[-1] = 3, 20, 1
    said = titles(charts.lengths(counts))
    assert said == [
        "0 to 10 characters: 3", "75 to 100 characters: 20", "10,000,000 to inf characters: 1",
    ]  # fmt: skip


def test_bars_show_the_frequent_and_the_rest_as_one() -> None:
    parts = [(f"d{place}", 100 - place) for place in range(20)]
    said = titles(charts.bars(parts, 2000))
    assert "d0: 100 (5.0%)" in said
    assert "d14: 86 (4.3%)" in said
    assert f"(other): {2000 - sum(count for _, count in parts[:15]):,} (30.2%)" in said
    assert not [each for each in said if each.startswith("d15:")]


def test_a_day_without_a_number_is_a_gap_in_the_line() -> None:
    root = parsed(charts.lines(DAYS[:5], {"p50": [1.0, 2.0, None, 4.0, 5.0]}, "characters", logarithmic=True))
    lines = [each for each in root.iter() if each.tag == "polyline"]
    assert [len(each.attrib["points"].split()) for each in lines] == [2, 2]


def test_shares_stand_upon_each_other_from_the_ground_up() -> None:
    root = parsed(charts.stacked(DAYS, {"en": [0.75] * 30, "de": [0.25] * 30}, "share"))
    bars = [each.attrib for each in root.iter("rect") if each.findtext("title")]
    first, above = bars[0], bars[30]
    assert first["x"] == above["x"]
    assert float(above["y"]) + float(above["height"]) == pytest.approx(float(first["y"]), abs=0.11)
    assert float(first["height"]) == pytest.approx(3 * float(above["height"]), abs=0.5)


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        (["en", "de"], 1),
        (["empty", *(f"gopher_repetition.top_{n}_grams" for n in range(2, 7)), "(other)"], 3),
        ([f"{n}{'x' * 200}" for n in range(7)], 3),
    ],
    ids=["short", "reasons", "longer than the picture"],
)
def test_a_legend_takes_the_lines_that_it_needs_and_the_plot_begins_below(names: list[str], lines: int) -> None:
    day = {name: [1 / len(names)] for name in names}
    for picture in (charts.stacked(DAYS[:1], day, "share"), charts.lines(DAYS[:1], day, "share")):
        root = parsed(picture)
        marks = [each for each in root.iter("rect") if each.attrib["width"] == each.attrib["height"] == "10.0"]
        assert [each.attrib["fill"] for each in marks] == list(SERIES[: len(names)])
        assert len({each.attrib["y"] for each in marks}) == lines
        lowest = max(float(each.attrib["y"]) for each in marks) + 10
        assert min(float(each.attrib["y1"]) for each in root.iter("line")) > lowest


@pytest.mark.parametrize(
    "picture",
    [
        charts.lengths([0] * (len(EDGES) + 1)),
        charts.bars([], 0),
        charts.bars([("", 0)], 0),
        charts.lines([], {"kept": []}, "documents"),
        charts.lines(["2026-11-01"], {"kept": [0]}, "documents"),
        charts.lines(["2026-11-01"], {"p50": [None]}, "characters", logarithmic=True),
        charts.lines(["2026-11-01"], {"p50": [7]}, "characters", logarithmic=True),
        charts.stacked(["2026-11-01"], {}, "share"),
        charts.stacked(["2026-11-01"], {"en": [0.0]}, "share"),
    ],
)
def test_nothing_and_a_single_number_are_pictures_too(picture: str) -> None:
    assert parsed(picture) is not None


def test_names_from_the_web_stay_text() -> None:
    for picture in (charts.bars([(EVIL, 1)], 1), charts.stacked(["2026-11-01"], {EVIL: [1.0]}, EVIL)):
        assert "script" not in {each.tag for each in parsed(picture).iter()}
        assert any(EVIL[:10] in (each.text or "") for each in parsed(picture).iter())


@pytest.mark.parametrize("most", [0, 1, 2, 7, 10, 999, 12_345, 10**9, 0.03, 0.5, 1.0])
def test_an_axis_is_of_few_round_numbers_that_reach_the_highest(most: float) -> None:
    found = ticks(most)
    assert found[0] == 0
    assert found[-1] >= most
    assert 2 <= len(found) <= 6
    assert all(b > a for a, b in pairwise(found))
    assert isinstance(most, float) or all(float(each).is_integer() for each in found)


@pytest.mark.parametrize(("least", "most"), [(7, 7), (10, 10), (1, 9_999_999), (480, 9_100), (0.5, 2)])
def test_a_logarithmic_axis_holds_both_ends(least: float, most: float) -> None:
    found = decades(least, most)
    assert found[0] <= least
    assert found[-1] >= most
    assert len(found) >= 2
