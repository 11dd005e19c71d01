"""The report: plots of any shape of result, and a page that needs and trusts nothing outside itself."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.reports import plots
from tasks.reports.history import LATEST, PastRun, past_run, past_runs
from tasks.reports.page import Report
from tasks.step import Context
from tasks.training import Training
from tasks.training.auc import Ranks
from tasks.training.scoring import Mistake, Scores

PNG = b"\x89PNG\r\n\x1a\n"
HEADLINE: dict[str, float | None] = {"accuracy": 0.8, "macro_f1": 0.75}
Build = Callable[..., Report]


def scores(pairs: dict[tuple[str, str], int], mistakes: list[Mistake] | None = None) -> Scores:
    known = tuple(sorted({guess for _, guess in pairs}))
    return Scores(known, Ranks(known), Counter(pairs), {"language": {"en": Counter(pairs)}}, mistakes or [])


@pytest.fixture
def build(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], make_snapshot: Callable[..., Manifest]
) -> Build:
    """``build(validation=Scores, test=Scores, champion=Scores | None)``: a report."""

    def make(validation: Scores, test: Scores | None = None, champion: Scores | None = None) -> Report:
        context = make_context(make_corpus(description="Pages & <more>"))
        snapshot = make_snapshot(context, train=[{"text": "x", "label": "a"}])
        training = Training.of(context.corpus, snapshot)
        by_split = {"validation": validation, "test": test or scores({})}
        metrics = {split: each.metrics() for split, each in by_split.items()}
        details = {
            "chosen": "union",
            "reason": "the union's macro-F1 is 0.7",
            "validation": {"part 0/2": HEADLINE, "part 1/2": HEADLINE, "union": HEADLINE},
            "labels": ["a", "b"],
            "code": {"libraries": {"scikit-learn": "1.9"}},
        }
        rival = champion and {
            "version": 3,
            "run": "f" * 16,
            "trained_on": {"validation": 4, "test": 0},
            "metrics": {"validation": champion.metrics(), "test": scores({}).metrics()},
        }
        model = snapshot.model_copy(update={"details": details, "counts": {"trees": 10}})
        runs = [past_run("0" * 16, "2026-11-19", metrics), past_run(training.run, "2026-11-20", metrics)]
        return Report(training, model, by_split, metrics, rival, runs)

    return make


def page_of(report: Report, folder: Path) -> str:
    return report.html(report.plots(folder))


def test_the_page_holds_its_plots_and_loads_nothing(build: Build, tmp_path: Path) -> None:
    html = page_of(build(scores({("a", "a"): 5, ("a", "b"): 2, ("b", "b"): 4})), tmp_path)
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert len(images) == 3
    assert all(base64.b64decode(image).startswith(PNG) for image in images)
    assert not re.findall(r'(?:src|href)="(?!data:|http://site)[^"]*"|url\(|@import|<script', html)
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html


def test_the_page_tells_the_numbers_the_errors_and_the_data(build: Build, tmp_path: Path) -> None:
    mistake = Mistake(0.93, "http://site/page", "a", "b")
    report = build(
        scores({("a", "a"): 6, ("a", "b"): 2, ("b", "b"): 4}, [mistake]),
        champion=scores({("a", "a"): 8, ("b", "b"): 4}),
    )
    html = page_of(report, tmp_path)
    assert f"{report.metrics['validation']['macro_f1']:.3f}" in html
    assert "against champion 3" in html
    assert re.search(r"Champion 3 was trained on 4 of the 12 rows of validation", html)
    assert report.training.run in html
    assert report.training.snapshot.digest() in html
    assert re.search(r'<a href="http://site/page"[^>]*>http://site/page</a></td><td>a</td><td>b</td>.*0\.93', html)
    assert re.search(r"<td>a</td><td>b</td><td class=\"n\">2</td><td class=\"n\">25%</td>", html)
    assert "max_vocabulary" in html


def test_what_the_web_says_is_text_and_only_http_becomes_a_link(build: Build, tmp_path: Path) -> None:
    bad = [
        Mistake(0.9, "javascript:alert(1)", "<script>alert(2)</script>", "b"),
        Mistake(0.8, 'http://x/"onmouseover="alert(3)', "a", "b"),
    ]
    html = page_of(build(scores({("a", "b"): 1, ("<script>alert(2)</script>", "b"): 1}, bad)), tmp_path)
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert '"onmouseover' not in html
    assert "Pages &amp; &lt;more&gt;" in html


def test_labels_unseen_in_training_are_told(build: Build, tmp_path: Path) -> None:
    html = page_of(build(scores({("a", "a"): 3, ("new", "a"): 2})), tmp_path)
    assert re.search(r"2 rows of validation carry labels that training never saw\s+\(new: 2\)", html)


def test_a_perfect_model_and_an_empty_test_split_still_make_a_page(build: Build, tmp_path: Path) -> None:
    html = page_of(build(scores({("a", "a"): 3, ("b", "b"): 2})), tmp_path)
    assert html.count("No errors on validation.") == 2
    assert "the split has no rows" in html


def test_a_class_that_only_the_champion_knows_has_a_row(build: Build, tmp_path: Path) -> None:
    report = build(scores({("a", "a"): 3, ("b", "a"): 2}), champion=scores({("a", "a"): 3, ("b", "b"): 2}))
    assert page_of(report, tmp_path).count('<td class="n champion">1.000</td>') >= 2


def test_equal_results_make_equal_bytes(build: Build, tmp_path: Path) -> None:
    pages = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        pages.append(page_of(build(scores({("a", "a"): 5, ("a", "b"): 2, ("b", "b"): 4})), tmp_path / name))
    assert pages[0] == pages[1]


@pytest.mark.parametrize("count", [1, 2, 30, 200])
def test_plots_are_drawn_for_any_number_of_classes(tmp_path: Path, count: int) -> None:
    names = [f"a rather long class name {i}" for i in range(count)]
    pairs = Counter({(name, names[(i * 7) % count]): i + 1 for i, name in enumerate(names)})
    metrics = scores(dict(pairs)).metrics()["per_class"]
    assert plots.confusion(pairs, tmp_path / "confusion.png").read_bytes().startswith(PNG)
    assert plots.classes(metrics, None, tmp_path / "classes.png").read_bytes().startswith(PNG)


def test_a_matrix_of_many_classes_unites_the_rare_ones_and_loses_no_row() -> None:
    pairs = Counter({(f"class{i:03d}", f"class{(i + i % 2) % 100:03d}"): 100 - i for i in range(100)})
    labels, counts = plots._matrix(pairs)
    assert len(labels) == plots.MOST_CLASSES
    assert labels[-1] == "(other)"
    assert counts.sum() == pairs.total()


@pytest.mark.parametrize("count", [1, 2, LATEST])
def test_history_is_drawn_for_any_number_of_runs(tmp_path: Path, count: int) -> None:
    nothing: dict[str, float | None] = {"accuracy": None, "macro_f1": None}
    runs = [PastRun(f"{i:016x}", "2026-11-20", HEADLINE, nothing if i % 2 else HEADLINE) for i in range(count)]
    assert plots.history(runs, tmp_path / "history.png").read_bytes().startswith(PNG)


def test_history_lists_earlier_runs_by_time_without_this_one(make_context: Callable[..., Context]) -> None:
    context = make_context()
    metrics: dict[str, Any] = {"validation": HEADLINE, "test": HEADLINE}
    for run, at in (("c", "2026-11-18"), ("a", "2026-11-19"), ("b", "2026-11-17"), ("this", "2026-11-20")):
        manifest = Manifest(
            step="evaluate",
            corpus="docs",
            partition=run,
            fingerprint="",
            code={},
            config="",
            details={"metrics": metrics},
            volatile={"at": at},
        )
        context.catalog.commit(f"reports/docs/{run}", manifest)
        context.catalog.commit(f"reports/docs/{run}/parts/0-of-1", manifest)
    assert [each.run for each in past_runs(context.catalog, "docs", before="this")] == ["b", "c", "a"]


def test_the_champion_that_training_began_with_is_named(build: Build, tmp_path: Path) -> None:
    report = build(scores({("a", "a"): 3, ("b", "a"): 1}))
    plots = report.plots(tmp_path)
    warm = report.model.model_copy(
        update={"details": {**report.model.details, "warm_start": {"version": 7, "run": "abc"}}}
    )
    said = " ".join(replace(report, model=warm).html(plots).split())
    assert "Training began with the weights of champion 7 (run <code>abc</code>)." in said
    assert "Training began" not in report.html(plots)
    frozen = {"version": 7, "run": "abc", "frozen": ["letters", "vectors"]}
    warm = report.model.model_copy(update={"details": {**report.model.details, "warm_start": frozen}})
    said = " ".join(replace(report, model=warm).html(plots).split())
    assert "champion 7 (run <code>abc</code>), and left those of letters, vectors as they were." in said
