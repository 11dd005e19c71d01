"""Other filters over a clean shard: the same rows, in the same order, as cleaning anew with them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.cleaning import rejudge as module
from tasks.cleaning import schema
from tasks.cleaning.keys import Part
from tasks.cleaning.output import Sink
from tasks.cleaning.raw import Raw, batches, uid_of
from tasks.cleaning.refine import Refiner
from tasks.cleaning.rejudge import Impossible, plan, rejudge
from tasks.config.clean import Clean
from tasks.filters.base import FILTERS

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WORDS = [
    "The train",
    "left at ten.",
    "and that with",
    "# ...",
    "• item",
    "a a a a",
    "1234",
    "Bahnhof",
    "{ x }",
    "\n",
    "\n\n",
]


def page(number: int, text: str, **also: Any) -> Raw:
    url = f"http://host{number % 3}/{number}"
    return Raw(uid_of(url), url, NOON, text.encode(), "text/plain", title=f"Page {number}", **also)


def cleaned(raws: list[Raw], clean: Clean, folder: Path) -> dict[str, list[dict[str, Any]]]:
    sink = Sink(folder, schema.documents(clean))
    refiner = Refiner(clean)
    for batch in batches(raws):
        sink.add(refiner.batch(batch))
    return written(sink)


def written(sink: Sink) -> dict[str, list[dict[str, Any]]]:
    return {file.role: pq.read_table(file.path).to_pylist() for file in sink.close()}


def stored(clean: Clean) -> Any:
    """The filters as a manifest gives them back."""
    return json.loads(clean.model_dump_json())["filters"]


def filtered(old: Clean, new: Clean, folder: Path, target: Path) -> tuple[dict[str, list[dict[str, Any]]], int]:
    """The shard in ``folder`` under other filters, and how many rows were judged again."""
    part = Part(
        *((path,) if (path := folder / f"{role}.parquet").exists() else () for role in ("documents", "rejects"))
    )
    sink = Sink(target, schema.documents(new))
    again = rejudge(part, plan(stored(old), new), new, sink)
    return written(sink), again


def clean(*filters: Any) -> Clean:
    return Clean.model_validate({"filters": list(filters)})


TEXTS = [f"{'This is a sentence about the trains of the night. ' * n}\nNumber {n}." for n in range(30)]
PAGES = [
    page(n, text, label="x" if n % 2 else None, fault="truncated" if n == 7 else None) for n, text in enumerate(TEXTS)
]


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ([{"length": {"min_words": 50}}], [{"length": {"min_words": 50}}], 0),
        ([{"length": {"min_words": 50}}], [{"length": {"min_words": 100}}], 9),
        ([{"length": {"min_words": 100}}], [{"length": {"min_words": 50}}], 9),
        ([{"length": {"max_words": 100}}], [{"length": {"max_words": None}}], 20),
        ([{"length": {"min_words": 50}}, "c4"], [{"length": {"min_words": 50}}, {"c4": {"min_sentences": 20}}], None),
        ([{"length": {"min_words": 50}}, "c4"], ["c4", {"length": {"min_words": 50}}], None),
        ([{"length": {"min_words": 50}}], [], 29),
        ([], [{"length": {"min_words": 50}}, "gopher_quality"], 29),
        ([{"length": {"min_words": 50}}], [{"length": {"min_words": 50, "languages": {"en": {"min_words": 9}}}}], 29),
        ([{"c4": {"min_line_words": 5}}], [{"c4": {"min_line_words": 6}}], 29),
        (
            [{"gopher_repetition": {"max_top": {2: 0.2}}}],
            [{"gopher_repetition": {"max_top": {2: 0.21}, "max_lines": 0.2}}],
            None,
        ),
    ],
)
def test_other_filters_give_the_rows_of_cleaning_anew(tmp_path: Path, old: Any, new: Any, again: int | None) -> None:
    before, after = clean(*old), clean(*new)
    cleaned(PAGES, before, tmp_path / "old")
    expected = cleaned(PAGES, after, tmp_path / "anew")
    found, judged = filtered(before, after, tmp_path / "old", tmp_path / "new")
    assert found == expected
    assert again is None or judged == again


def test_a_shard_of_many_row_groups_keeps_its_order(tmp_path: Path) -> None:
    pages = [page(n, TEXTS[n * 7 % 30], language="en") for n in range(3000)]
    before, after = clean({"length": {"min_words": 50}}), clean({"length": {"min_words": 80, "max_words": 250}})
    cleaned(pages, before, tmp_path / "old")
    expected = cleaned(pages, after, tmp_path / "anew")
    found, _ = filtered(before, after, tmp_path / "old", tmp_path / "new")
    assert found == expected
    back, _ = filtered(after, before, tmp_path / "new", tmp_path / "back")
    assert back == cleaned(pages, before, tmp_path / "again")


THRESHOLDS = {
    "length": {"min_words": (0, 60), "max_words": (1, 100), "min_characters": (0, 300)},
    "gopher_quality": {
        "min_words": (0, 60),
        "min_mean_word_length": (0.0, 8.0),
        "max_symbol_ratio": (0.0, 0.5),
        "max_bullet_lines": (0.0, 1.0),
        "min_alphabetic_words": (0.0, 1.0),
        "min_stop_words": (0, 8),
    },
    "gopher_repetition": {"max_lines": (0.0, 1.0), "max_line_characters": (0.0, 1.0)},
    "c4": {"min_sentences": (0, 9), "min_terminal_lines": (0.0, 1.0), "min_line_words": (0, 6)},
    "language": {"min_score": (0.0, 1.0)},
}


@st.composite
def chain(draw: st.DrawFn) -> list[dict[str, dict[str, Any]]]:
    """Every filter, in one order, with some thresholds drawn."""
    found = []
    for name, thresholds in THRESHOLDS.items():
        chosen = draw(st.sets(st.sampled_from(sorted(thresholds))))
        params = {}
        for key in sorted(chosen):
            low, high = thresholds[key]
            params[key] = draw(
                st.integers(low, high) if isinstance(low, int) else st.floats(low, high).map(lambda x: round(x, 1))
            )
        found.append({name: params})
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join), max_size=12),
    chain(),
    chain(),
)
def test_any_thresholds_give_the_rows_of_cleaning_anew(texts: list[str], old: Any, new: Any) -> None:
    raws = [page(number, text) for number, text in enumerate(texts)]
    before, after = clean(*old), clean(*new)
    with TemporaryDirectory() as folder:
        cleaned(raws, before, Path(folder) / "old")
        expected = cleaned(raws, after, Path(folder) / "anew")
        assert filtered(before, after, Path(folder) / "old", Path(folder) / "new")[0] == expected


def test_a_number_of_every_filter_that_looks_like_a_threshold_bounds_a_measure() -> None:
    """What `plan` takes for granted of names; one that bounds no measure is judged by the filter itself."""
    unbound = {
        f"{name}.{key}"
        for name in FILTERS.names()
        for key in FILTERS.get(name).Params.model_fields
        if key.startswith(("min_", "max_"))
        if not any(measure.startswith(key[4:]) for measure in FILTERS.get(name).MEASURES)
    }
    assert "length.min_words" not in unbound
    assert "c4.min_line_words" in unbound


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ([], ["language"], "language is new"),
        (["length", {"length": {"min_words": 3}}], ["length", "length"], "stands twice"),
    ],
)
def test_what_was_not_kept_cannot_be_judged(old: Any, new: Any, said: str) -> None:
    with pytest.raises(Impossible, match=said):
        plan(stored(clean(*old)), clean(*new))


def test_a_reject_that_is_not_kept_whole_cannot_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REJECT_CHARACTERS", 100)
    before, after = clean({"length": {"max_words": 50}}), clean({"length": {"max_words": 60}})
    cleaned(PAGES, before, tmp_path / "old")
    with pytest.raises(Impossible, match="first 100 characters"):
        filtered(before, after, tmp_path / "old", tmp_path / "new")
