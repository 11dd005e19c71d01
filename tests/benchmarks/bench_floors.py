"""Floors under cleaning: how fast it is and what memory it takes, over a plain loop of trafilatura in the same run.

    python -m tests.benchmarks.bench_floors [--pages 400] [--repeat 3]

Prints each ratio with its floor or ceiling, writes build/bench/floors.json, and exits 1 if one is crossed. Ratios of
processor time and memory measured in turns on one core hold on any machine, loaded or not; a regression moves them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from containers.embedded.render import render
from tests.benchmarks.cleaning import sides
from tests.benchmarks.cleaning.pages import write_warc

TARGET = sides.ROOT / "build" / "bench" / "floors.json"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a ratio must not cross. ``value`` was set a quarter off what was measured, for what runs differ by."""

    what: str
    value: float
    at_least: bool

    def holds(self, ratio: float) -> bool:
        """Whether a measured ratio is on the right side."""
        return ratio >= self.value if self.at_least else ratio <= self.value


BOUNDS = {
    "fast": Bound("docs/s of cleaning with every filter, fast extraction, over trafilatura's alone", 7.3, True),
    "auto": Bound("the same with auto extraction", 3.7, True),
    "start": Bound("processor seconds of a start, over those of trafilatura's", 6.6, False),
    "memory": Bound("peak memory of all processes of a cleaning, over that of the plain loop", 5.3, False),
    "growth": Bound("peak memory with all pages, over that with a quarter of them", 1.25, False),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    site = sides.ROOT / "build" / "site"
    render(site)
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as scratch:
        report = measure(Path(scratch), site, given.pages, given.repeat)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(report, indent=1) + "\n")
    lines, crossed = verdicts(report["ratios"])
    print("\n".join(lines))
    return int(crossed)


def measure(folder: Path, site: Path, pages: int, repeat: int) -> dict[str, Any]:
    """Every ratio, from medians of ``repeat`` turns."""
    warcs = {count: folder / f"{count}.warc.gz" for count in (1, pages // 4, pages)}
    for count, warc in warcs.items():
        if len(write_warc(warc, count, [site])) != count:
            raise SystemExit(f"the site has no {count} pages")
    corpora = {mode: _corpus(folder, mode) for mode in ("fast", "auto")}
    core = sides.cores()[-1]
    taken: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for lap in range(repeat):
        for count, warc in warcs.items():
            for mode, corpus in corpora.items():
                command = sides.ours_command(warc, folder / f"{mode}-{count}-{lap}", corpus)
                taken.setdefault((mode, count), []).append(sides.measured(command, core))
            command = [sys.executable, "-m", "tests.benchmarks.cleaning.plain", warc]
            taken.setdefault(("plain", count), []).append(sides.measured(command, core))

    def cpu(name: str, count: int) -> float:
        return statistics.median(run["cpu"] for run in taken[name, count])

    def peak(name: str, count: int) -> float:
        return statistics.median(run["told"]["peak_memory"] for run in taken[name, count])

    speed = {name: (pages - 1) / (cpu(name, pages) - cpu(name, 1)) for name in ("fast", "auto", "plain")}
    ratios = {
        "fast": speed["fast"] / speed["plain"],
        "auto": speed["auto"] / speed["plain"],
        "start": cpu("fast", 1) / cpu("plain", 1),
        "memory": peak("fast", pages) / peak("plain", pages),
        "growth": peak("fast", pages) / peak("fast", pages // 4),
    }
    return {
        "pages": pages,
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "docs_per_s": {name: round(value, 1) for name, value in speed.items()},
        "peak_memory": {name: peak(name, pages) for name in speed},
    }


def verdicts(ratios: dict[str, float]) -> tuple[list[str], bool]:
    """A line for each ratio, and whether one is on the wrong side."""
    lines, crossed = [], False
    for name, bound in BOUNDS.items():
        holds = bound.holds(ratios[name])
        crossed |= not holds
        side = ("at least" if bound.at_least else "at most") if holds else ("BELOW" if bound.at_least else "ABOVE")
        lines.append(f"{name:<8}{ratios[name]:>8.2f}  {side} {bound.value:g}: {bound.what}")
    return lines, crossed


def _corpus(folder: Path, mode: str) -> Path:
    (folder / mode).mkdir()
    path = sides.write_corpus(folder / mode / "bench.yaml")
    corpus = json.loads(path.read_text())
    corpus["clean"]["extraction"] = mode
    path.write_text(json.dumps(corpus))
    return path


if __name__ == "__main__":
    sys.exit(main())
