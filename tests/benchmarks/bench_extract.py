"""How well and how fast the main text of a page is found: F1 against docs/s, on a labelled set of pages.

    python -m tests.benchmarks.bench_extract FOLDER [--rounds 3]

FOLDER holds `ground-truth.json` and `html/<id>.html.gz`, as the public article-extraction-benchmark of
scrapinghub has them (https://github.com/scrapinghub/article-extraction-benchmark); so may
NIGHTSHIFT_ARTICLES. Nothing of it is kept here. Prints a table, and writes build/bench/extract.json and .png.

Every extractor sees a page right after the other, and each page counts by its quickest round in processor
time, so that other work on the machine touches all alike. ``curve`` is `auto` over its threshold of doubt;
``cross_validated`` takes each tenth of the pages with the threshold that was best on the other nine, so
that no page has a say in its own.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

DOUBTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
_WORD = re.compile(r"\w+")
_BOOTSTRAPS = 1000
_FOLDS = 10
_FIRST, _SECOND = "article", "accurate, without its second opinion"
"""The two answers that `auto` chooses between."""


class Score(NamedTuple):
    """Shares of the 4-grams of words that are right, too many, and missing."""

    right: float
    extra: float
    missing: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=os.environ.get("NIGHTSHIFT_ARTICLES"))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.data is None:
        print("left out: give the folder of the article-extraction-benchmark, or set NIGHTSHIFT_ARTICLES to it")
        return 0
    report = bench(*load(Path(arguments.data)), arguments.rounds)
    target = Path("build/bench/extract.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")
    show(report)
    plot(report, target.with_suffix(".png"))
    return 0


def load(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The page of each id, and its true text."""
    truth = json.loads((folder / "ground-truth.json").read_text())
    pages = {key: gzip.decompress((folder / "html" / f"{key}.html.gz").read_bytes()).decode() for key in truth}
    return pages, {key: said.get("articleBody", "") for key, said in truth.items()}


def bench(pages: Mapping[str, str], truth: Mapping[str, str], rounds: int) -> dict[str, Any]:
    """Score and speed of every mode, and of `auto` at every threshold."""
    from tasks.text import extract
    from tasks.text.article import article

    doubts: dict[str, float] = {}

    def weigh(html: str) -> str:
        found = article(html)
        doubts[html] = found.doubt
        return found.text

    ways: dict[str, Callable[[str], str]] = {
        "fast": lambda html: extract.fast(html).text,
        "accurate": lambda html: extract.accurate(html).text,
        _SECOND: lambda html: extract._trafilatura(html, fast=True).text,
        _FIRST: weigh,
        "auto": lambda html: extract.auto(html).text,
    }
    texts, seconds = measure(ways, pages, rounds)
    scores = {name: {key: score(truth[key], text) for key, text in found.items()} for name, found in texts.items()}
    slow = sum(seconds["accurate"].values())

    def figures(of: Mapping[str, Score], spent: float) -> dict[str, float]:
        return {
            **rates(list(of.values())),
            "docs_per_s": round(len(pages) / spent, 1),
            "ratio": round(slow / spent, 2),
        }

    def at(doubt: float, keys: Sequence[str]) -> dict[str, Score]:
        return {k: scores[_SECOND if doubts[pages[k]] > doubt else _FIRST][k] for k in keys}

    def spent(doubt: float) -> float:
        again = sum(seconds[_SECOND][key] for key in pages if doubts[pages[key]] > doubt)
        return sum(seconds[_FIRST].values()) + again

    modes = {
        name: figures(of, sum(seconds[name].values())) | {"f1_std": deviation(list(of.values()))}
        for name, of in scores.items()
    }
    keys = list(pages)
    curve = [
        {"doubt": d, "asked": sum(v > d for v in doubts.values()), **figures(at(d, keys), spent(d))} for d in DOUBTS
    ]
    blind: dict[str, Score] = {}
    for fold in range(_FOLDS):
        inside = [key for key in keys if int(hashlib.sha256(key.encode()).hexdigest(), 16) % _FOLDS == fold]
        others = [key for key in keys if key not in set(inside)]
        # Of the quick enough; the quickest of equals.
        allowed = [point["doubt"] for point in curve if point["ratio"] >= 5] or [DOUBTS[-1]]
        best = max(allowed, key=lambda d: (rates(list(at(d, others).values()))["f1"], d))
        blind |= at(best, inside)
    return {
        "pages": len(pages),
        "f1": modes["auto"]["f1"],
        "ratio": modes["auto"]["ratio"],
        "threshold": extract.DOUBT,
        "cross_validated": rates(list(blind.values())),
        "modes": modes,
        "curve": curve,
    }


def measure(
    ways: Mapping[str, Callable[[str], str]], pages: Mapping[str, str], rounds: int
) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, float]]]:
    """Text, and processor seconds of the quickest round, of each page by each way."""
    texts: dict[str, dict[str, str]] = {name: {} for name in ways}
    seconds: dict[str, dict[str, float]] = {name: {} for name in ways}
    first = next(iter(pages.values()))
    for way in ways.values():
        way(first)  # imports are nobody's time
    for _ in range(rounds):
        for key, html in pages.items():
            for name, way in ways.items():
                started = time.process_time()
                texts[name][key] = way(html)
                seconds[name][key] = min(time.process_time() - started, seconds[name].get(key, float("inf")))
    return texts, seconds


def score(true: str, said: str) -> Score:
    """Shingles of four words, as bags; each page weighs the same, however long."""
    want, have = _shingles(true), _shingles(said)
    right = (want & have).total()
    extra, missing = have.total() - right, want.total() - right
    every = right + extra + missing
    return Score(right / every, extra / every, missing / every) if every else Score(0.0, 0.0, 0.0)


def _shingles(text: str) -> Counter[tuple[str, ...]]:
    words = _WORD.findall(text)
    return Counter(gram for i in range(max(1, len(words) - 3)) if (gram := tuple(words[i : i + 4])))


def rates(scores: Sequence[Score]) -> dict[str, float]:
    """Mean precision, mean recall, and the F1 of these two: the benchmark's own definition."""
    precision = statistics.mean(
        [1.0 if s.extra == s.missing == 0 else s.right / (s.right + s.extra) for s in scores if s.right + s.extra]
    )
    recall = statistics.mean(
        [1.0 if s.extra == s.missing == 0 else s.right / (s.right + s.missing) for s in scores if s.right + s.missing]
    )
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"f1": round(f1, 4), "precision": round(precision, 4), "recall": round(recall, 4)}


def deviation(scores: Sequence[Score]) -> float:
    """The standard deviation of F1 over bootstrap samples of the pages."""
    chance = random.Random(0)
    drawn = [rates(chance.choices(scores, k=len(scores)))["f1"] for _ in range(_BOOTSTRAPS)]
    return round(statistics.stdev(drawn), 4)


def show(report: Mapping[str, Any]) -> None:
    print(f"{report['pages']} pages; processor time of one core")
    for name, figures in report["modes"].items():
        print(
            f"{name:37} F1 {figures['f1']:.4f} ± {figures['f1_std']:.3f}  precision {figures['precision']:.3f}  "
            f"recall {figures['recall']:.3f} {figures['docs_per_s']:8.1f} docs/s  {figures['ratio']:5.1f} x accurate"
        )
    for point in report["curve"]:
        print(
            f"  auto, doubt > {point['doubt']:4.2f}: {point['asked']:3} pages asked twice  F1 {point['f1']:.4f} "
            f"{point['docs_per_s']:8.1f} docs/s  {point['ratio']:5.1f} x accurate"
        )
    print(f"auto, its threshold cross-validated: F1 {report['cross_validated']['f1']:.4f}")


def plot(report: Mapping[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), dpi=150)
    curve = report["curve"]
    axes.plot([p["docs_per_s"] for p in curve], [p["f1"] for p in curve], "o-", ms=3, label="auto, by threshold")
    for name, figures in report["modes"].items():
        axes.plot(figures["docs_per_s"], figures["f1"], "s", color="black", ms=5)
        axes.annotate(name, (figures["docs_per_s"], figures["f1"]), xytext=(6, 5), textcoords="offset points")
    axes.axhline(0.95, color="grey", lw=0.8, ls=":")
    axes.axvline(5 * report["modes"]["accurate"]["docs_per_s"], color="grey", lw=0.8, ls=":")
    axes.set(xscale="log", xlabel="documents a second and core", ylabel="F1", title="Main text: quality against speed")
    axes.legend(loc="lower left", frameon=False)
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
