"""Ours and datatrove on the same WARC file, with equal filters, one core each; ours with `extraction: article`,
datatrove's with Trafilatura.

    python -m tests.benchmarks.bench_clean [--pages 1000] [--repeat 3] [--html FOLDER ...]

Prints a table and writes build/bench/clean.json:

``ratio``               ours_docs_per_s over datatrove_docs_per_s, of the medians
``*_docs_per_s``        documents per second of a core's processor time, less what the same command takes for one page
``*_with_start``        the same, start of the process included; ``*_wall`` by the clock, which other work disturbs
``kept_agreement``      share of documents with the same keep-or-drop decision, given the same extracted text
``extraction``          the same comparison with each side's own extractor
``scaling``             documents per second of two processes on a core each over those of one
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.cleaning import agreement, sides
from tests.benchmarks.cleaning.pages import write_warc

TARGET = sides.ROOT / "build" / "bench" / "clean.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--html", type=Path, nargs="*", default=[], help="folders of pages to take first")
    arguments = parser.parse_args()
    sides.peer_python()
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as scratch:
        folder = Path(scratch)
        (folder / "in").mkdir()
        (folder / "one").mkdir()
        warc = folder / "in" / "pages.warc.gz"
        sizes = write_warc(warc, arguments.pages, arguments.html)
        write_warc(folder / "one" / "page.warc.gz", 1, arguments.html)
        corpus = sides.write_corpus(folder / "bench.yaml")
        report: dict[str, Any] = {
            "pages": {"count": len(sizes), "bytes": sum(sizes), "median": statistics.median(sizes)},
            **speed(folder, corpus, len(sizes), arguments.repeat),
            "scaling": scaling(folder, corpus, arguments.repeat),
            **agreement.compare(warc.parent, folder),
        }
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(report, indent=1) + "\n")
    show(report)


def speed(folder: Path, corpus: Path, count: int, repeat: int) -> dict[str, Any]:
    """Both sides in turn, ``repeat`` times: other work on the machine meets both alike."""
    core = sides.cores()[-1]
    names = ("ours", "datatrove")
    starts: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for lap in range(repeat):
        for kind, into in (("one", starts), ("in", runs)):
            source = folder / kind
            (warc,) = source.glob("*.warc.gz")
            into["ours"].append(sides.measured(sides.ours_command(warc, folder / f"ours-{kind}-{lap}", corpus), core))
            into["datatrove"].append(sides.peer(source, folder / f"peer-{kind}-{lap}", core))
    report: dict[str, Any] = {}
    for name in names:
        start = statistics.median(run["cpu"] for run in starts[name])
        cpu = statistics.median(run["cpu"] for run in runs[name])
        report |= {
            f"{name}_docs_per_s": round((count - 1) / (cpu - start), 1),
            f"{name}_docs_per_s_with_start": round(count / cpu, 1),
            f"{name}_docs_per_s_wall": round(
                count / statistics.median(run["told"]["seconds"] for run in runs[name]), 1
            ),
            f"{name}_runs": [{key: round(run[key], 3) for key in ("wall", "cpu")} for run in runs[name]],
        }
    for suffix in ("", "_with_start", "_wall"):
        ours, theirs = (report[f"{name}_docs_per_s{suffix}"] for name in names)
        report[f"ratio{suffix}"] = round(ours / theirs, 1)
    return {"ratio": report.pop("ratio"), **report}


def scaling(folder: Path, corpus: Path, repeat: int) -> dict[str, Any]:
    """Two processes, each on a core of its own and with the same work as the one."""
    cores = sides.cores()[:2]
    if len(cores) < 2:
        return {"ratio": None, "why": "one core"}
    (warc,) = (folder / "in").glob("*.warc.gz")
    ratios = []
    for lap in range(repeat):
        one = together(folder / f"scale-{lap}-1", warc, corpus, cores[lap % 2 :][:1])
        two = together(folder / f"scale-{lap}-2", warc, corpus, cores)
        ratios.append(2 * one / two)
    return {"ratio": round(statistics.median(ratios), 2), "runs": [round(ratio, 2) for ratio in ratios]}


def together(folder: Path, warc: Path, corpus: Path, cores: list[int]) -> float:
    """Seconds until a process on each of these cores has cleaned the file."""
    started = time.perf_counter()
    running = []
    for core in cores:
        with sides.pinned(core):
            command = sides.ours_command(warc, folder / str(core), corpus)
            running.append(
                subprocess.Popen(
                    [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=sides.ROOT
                )
            )
    if any(process.wait() for process in running):
        raise SystemExit("a cleaning failed while two ran beside each other")
    return time.perf_counter() - started


def show(report: dict[str, Any]) -> None:
    pages = report["pages"]
    print(f"{pages['count']} pages, {pages['bytes'] / 1e6:.1f} MB, median {pages['median'] / 1e3:.1f} KB")
    print(f"{'docs/s of a core':<22}{'ours':>9}{'datatrove':>11}{'ratio':>8}")
    for suffix, said in (("", "running"), ("_with_start", "start included"), ("_wall", "by the clock")):
        ours, theirs = (report[f"{name}_docs_per_s{suffix}"] for name in ("ours", "datatrove"))
        print(f"{said:<22}{ours:>9.1f}{theirs:>11.1f}{report['ratio' + suffix]:>8.1f}")
    print(f"two processes over one: {report['scaling']['ratio']}")
    print(f"same decision on the same text: {report['kept_agreement']:.2%} of {report['agreement']['texts']}")
    print(f"each with its own extractor: {report['extraction']['agreement']:.2%}")


if __name__ == "__main__":
    main()
