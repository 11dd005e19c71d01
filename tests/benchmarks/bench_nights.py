"""What the second night of an unchanged site costs of the first, end to end: crawl, clean, dedup, stats, split, upload.

    make bench-nights

The site and the corpus are the demo's, on loopback. Prints a table, writes build/bench/nights.json, and fails if the
second night costs more than a tenth of the first, or finds a page changed. ``ratio`` is of processor seconds of this
process and its children, the server's not among them: a polite crawl's wall-clock time is its waiting between
requests, the same every night.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from containers.embedded.render import ROOT
from tasks import log
from tasks.clean import clean_all
from tasks.command import make_context
from tasks.config import Corpus, yaml12
from tasks.crawl import crawl
from tasks.dedup import dedup
from tasks.split import split
from tasks.stats import stats
from tasks.step import Context, StepResult
from tasks.upload import upload
from tests.benchmarks.site import demo_site

NIGHTS = (date(2026, 1, 1), date(2026, 1, 2))
MOST = 0.1


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    log.configure()
    with demo_site() as site, tempfile.TemporaryDirectory() as folder:
        report = bench(Path(folder), site)
    target = ROOT / "build" / "bench" / "nights.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")
    show(report)
    return int(report["ratio"] > MOST)


def bench(folder: Path, site: str) -> dict[str, Any]:
    """Seconds of every step on both nights."""
    corpus = yaml12.parse((ROOT / "dags" / "corpora" / "docs.yaml").read_text())
    # Without manners: what costs is measured, and the site is ours.
    source = {"sitemaps": [f"{site}/sitemap.xml"], "networks": ["127.0.0.0/8"], "throttle": None}
    corpus["source"] = {"live": {"crawl": source}}
    context = make_context(Corpus.model_validate(corpus), folder.as_uri(), step="bench")
    nights = [night(context, day) for day in NIGHTS]
    first, second = (each["total"] for each in nights)
    # Other visits are of sitemaps, and of what is no page.
    if nights[1]["unchanged"] != nights[0]["documents"] or not nights[0]["kept"]:
        raise SystemExit(f"the second night was to find every page unchanged: {nights}")
    return {
        "ratio": round(second["processor"] / first["processor"], 4),
        "wall_ratio": round(second["wall"] / first["wall"], 4),
        "first": nights[0],
        "second": nights[1],
    }


def night(context: Context, day: date) -> dict[str, Any]:
    """One night, step by step."""
    partition = day.isoformat()
    steps: dict[str, Callable[[], StepResult]] = {
        "crawl": lambda: crawl(context, partition, today=day),
        "clean": lambda: clean_all(context, partition),
        "dedup": lambda: dedup(context, partition),
        "stats": lambda: stats(context, partition),
        "split": lambda: split(context, partition),
        "upload": lambda: upload(context, partition),
    }
    told: dict[str, Any] = {"steps": {}}
    for name, step in steps.items():
        wall, processor = time.monotonic(), _processor()
        result = step()
        told["steps"][name] = {"wall": time.monotonic() - wall, "processor": _processor() - processor}
        said = {
            key: result.counts[key] for key in ("visited", "documents", "unchanged", "kept") if key in result.counts
        }
        told = said | told  # the first step that says it
    told["total"] = {of: sum(each[of] for each in told["steps"].values()) for of in ("wall", "processor")}
    return told


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def show(report: dict[str, Any]) -> None:
    first, second = report["first"], report["second"]
    print(f"{first['visited']} pages, {first['kept']} kept; processor seconds (wall-clock) of both nights")
    for name in (*first["steps"], "total"):
        pair = [(night["steps"] | {"total": night["total"]})[name] for night in (first, second)]
        print(f"{name:8}" + "".join(f"{each['processor']:9.2f} ({each['wall']:7.2f})" for each in pair))
    print(f"an unchanged night costs {report['ratio']:.1%} of the first ({report['wall_ratio']:.1%} of its wall-clock)")


if __name__ == "__main__":
    sys.exit(main())
