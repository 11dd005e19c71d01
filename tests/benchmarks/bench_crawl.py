"""How fast a first night and an unchanged second night are crawled.

    python -m tests.benchmarks.bench_crawl

The site is the demo's, on loopback. Prints a table and writes build/bench/crawl.json; ``second_to_first``
is what an unchanged night costs of a first one.
"""

from __future__ import annotations

import json
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from containers.embedded.render import ROOT
from tasks import log
from tasks.command import make_context
from tasks.config import Corpus
from tasks.crawl import crawl
from tasks.step import Context
from tests.benchmarks.site import demo_site

NIGHTS = (date(2026, 1, 1), date(2026, 1, 2))


def main() -> None:
    log.configure()
    with demo_site() as site, tempfile.TemporaryDirectory() as folder:
        report = bench(Path(folder), site)
    target = ROOT / "build" / "bench" / "crawl.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")
    show(report)


def bench(folder: Path, site: str) -> dict[str, Any]:
    """Pages visited, seconds and pages per second of the first night and of one without a change."""
    section = {"sitemaps": [f"{site}/sitemap.xml"], "networks": ["127.0.0.0/8"], "throttle": None}
    corpus = Corpus.model_validate(
        {"corpus": "bench", "source": {"live": {"crawl": section}}, "train": {"recipe": "tfidf_forest"}}
    )
    context = make_context(corpus, folder.as_uri(), step="crawl")
    first, second = (night(context, day) for day in NIGHTS)
    return {"first": first, "second": second, "second_to_first": second["seconds"] / first["seconds"]}


def night(context: Context, day: date) -> dict[str, Any]:
    """One crawl, with its commit to a local store."""
    started = time.perf_counter()
    counts = crawl(context, day.isoformat(), today=day).counts
    seconds = time.perf_counter() - started
    return {
        "visited": counts["visited"],
        "unchanged": counts["unchanged"],
        "seconds": seconds,
        "pages_per_s": counts["visited"] / seconds,
    }


def show(report: dict[str, Any]) -> None:
    print(f"{'night':<8}{'visited':>9}{'unchanged':>11}{'seconds':>9}{'pages/s':>9}")
    for name in ("first", "second"):
        row = report[name]
        print(f"{name:<8}{row['visited']:>9}{row['unchanged']:>11}{row['seconds']:>9.2f}{row['pages_per_s']:>9.0f}")
    print(f"an unchanged night costs {report['second_to_first']:.0%} of the first")


if __name__ == "__main__":
    main()
