"""The score of an extraction: the article-extraction-benchmark's own definition."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.benchmarks.bench_extract import Score, bench, load, rates, score


@pytest.mark.parametrize(
    ("true", "said", "expected"),
    [
        ("a b c d e", "a b c d e", Score(1, 0, 0)),
        ("a b c d e", "A, b c d e", Score(1 / 3, 1 / 3, 1 / 3)),
        ("a b c d", "a b c d a b c d", Score(1 / 5, 4 / 5, 0)),
        ("a b", "a b", Score(1, 0, 0)),
        ("a b", "", Score(0, 0, 1)),
        ("", "", Score(0, 0, 0)),
    ],
)
def test_a_page_is_scored_by_its_bag_of_four_word_shingles(true: str, said: str, expected: Score) -> None:
    assert score(true, said) == pytest.approx(expected)


def test_f1_is_of_mean_precision_and_mean_recall() -> None:
    found = rates([Score(1, 0, 0), Score(0.5, 0.5, 0), Score(0, 0, 1)])
    assert found == {"f1": 0.7059, "precision": 0.75, "recall": 0.6667}


def test_every_mode_and_threshold_is_measured(tmp_path: Path) -> None:
    text = "The night train left the station at ten, and nobody on the platform waved."
    (tmp_path / "html").mkdir()
    for key in "abc":
        page = f"<html><title>{key}</title><div><p>{text}</p><p>{text}</p></div></html>"
        (tmp_path / "html" / f"{key}.html.gz").write_bytes(gzip.compress(page.encode()))
    (tmp_path / "ground-truth.json").write_text(json.dumps({key: {"articleBody": f"{text} {text}"} for key in "abc"}))
    report = bench(*load(tmp_path), rounds=1)
    assert report["f1"] == report["cross_validated"]["f1"] == report["modes"]["auto"]["f1"] == 1
    assert report["modes"]["accurate"]["ratio"] == 1
    assert all(point["asked"] == 0 and point["docs_per_s"] > 0 for point in report["curve"])
