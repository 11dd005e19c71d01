"""What child processes cost a cleaning in time, and how much memory it takes.

    python -m tests.benchmarks.bench_isolation [--pages 1000] [--workers 1 2]

The input is the documentation of installed libraries as pydoc renders it, so nothing is downloaded.
Prints a table and writes build/bench/isolation.json. ``isolation`` is the share of the time that child
processes cost against the same code in this process: the price of surviving a poison page.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import io
import json
import pkgutil
import pydoc
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILTERS: list[Any] = ["language", "length", "gopher_quality", "gopher_repetition", "c4"]
_LIBRARIES = ("json", "email", "asyncio", "http", "xml", "sklearn", "pyarrow", "scipy", "pydantic", "click", "jinja2")
_LARGEST = 300_000
"""Bytes of the largest page taken: a few modules re-export whole libraries, as no web page does."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        warc = Path(folder) / "pages.warc.gz"
        sizes = write_warc(warc, arguments.pages)
        report = bench(warc, Path(folder), arguments.workers)
    report["pages"] = {"count": len(sizes), "bytes": sum(sizes), "median": statistics.median(sizes)}
    target = Path("build/bench/isolation.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")
    show(report)


def bench(warc: Path, folder: Path, workers: list[int]) -> dict[str, Any]:
    """Seconds, documents per second and bytes of memory of each way to run the same cleaning."""
    report: dict[str, Any] = {"stages": stages(warc), "runs": {}}
    for name, filters in (("no filters", []), ("all filters", FILTERS)):
        for count in workers:
            report["runs"][f"{name}, {count} worker(s)"] = run(warc, folder, filters, count)
    # The refining alone, in this process and in a child: the same batches, the same code.
    inside, outside = report["stages"]["refine"], report["stages"]["refine, isolated"]
    report["isolation"] = round(1 - outside["docs_per_s"] / inside["docs_per_s"], 3)
    first = report["runs"][f"all filters, {workers[0]} worker(s)"]
    report["docs_per_s_per_core"] = first["docs_per_cpu_s"]
    report["peak_memory"] = first["peak_memory"]
    return report


def stages(warc: Path) -> dict[str, Any]:
    """What reading and refining cost by themselves."""
    import structlog

    from tasks.cleaning.crew import Crew
    from tasks.cleaning.raw import Gone, batches
    from tasks.cleaning.reading import read_warc
    from tasks.cleaning.refine import Refiner
    from tasks.config.clean import Clean

    clean = Clean.model_validate({"filters": FILTERS})
    items = read_warc(warc, name=warc.name, limit=clean.document_bytes, tally=Counter())
    started = time.perf_counter()
    ready = list(batches(item for item in items if not isinstance(item, Gone)))
    read = time.perf_counter() - started
    count = sum(batch.num_rows for batch in ready)
    refiner = Refiner(clean)
    refiner.batch(ready[0].slice(0, 1))
    started = time.perf_counter()
    for batch in ready:
        refiner.batch(batch)
    refined = time.perf_counter() - started
    with Crew(clean, workers=1, log=structlog.get_logger()) as crew:
        list(crew.refine([ready[0].slice(0, 1)]))
        started = time.perf_counter()
        for _ in crew.refine(ready):
            pass
        isolated = time.perf_counter() - started
    seconds = {"read": read, "refine": refined, "refine, isolated": isolated}
    return {name: {"seconds": round(s, 3), "docs_per_s": round(count / s, 1)} for name, s in seconds.items()}


def run(warc: Path, folder: Path, filters: list[Any], workers: int) -> dict[str, Any]:
    """One ``nightshift clean`` as anybody runs it, start of the process included."""
    corpus = folder / "bench.yaml"
    described = {
        "corpus": "bench",
        "source": {"live": {"files": {"path": "/nowhere/*.jsonl"}}},
        "train": {"recipe": "tfidf_forest"},
        "clean": {"filters": filters},
    }
    corpus.write_text(json.dumps(described))  # JSON is YAML
    program = [sys.executable, "-c", "from tasks.cli import main; main()", "clean", "--json"]
    arguments = ["--input", warc, "--output", folder / "out", "--corpus", corpus, "--workers", workers]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time of all processes: a figure that other work on the machine hardly changes.
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    told = json.loads(done.stdout.splitlines()[-1])
    shown = {key: told[key] for key in ("documents", "kept", "seconds", "docs_per_s", "peak_memory")}
    return shown | {"cpu_seconds": round(cpu, 3), "docs_per_cpu_s": round(told["documents"] / cpu, 1)}


def write_warc(path: Path, count: int) -> list[int]:
    """A WARC file of ``count`` pages; returns their sizes in bytes."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    sizes = []
    with path.open("wb") as stream:
        writer = WARCWriter(stream, gzip=True)
        for number, (name, html) in zip(range(count), pages(), strict=False):
            http = StatusAndHeaders("200 OK", [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
            record = writer.create_warc_record(
                f"http://docs.example/{name}.html",
                "response",
                payload=io.BytesIO(html),
                http_headers=http,
                warc_headers_dict={
                    "WARC-Date": f"2026-11-20T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
                },
            )
            writer.write_record(record)
            sizes.append(len(html))
    return sizes


def pages() -> Iterator[tuple[str, bytes]]:
    """Name and HTML of module after module; pages come again, a little changed, when all are through."""
    rendered = list(_rendered())
    lap = 0
    while True:
        for name, html in rendered:
            mark = hashlib.sha256(f"{lap}{name}".encode()).hexdigest()
            yield f"{lap}/{name}", html.replace("</body>", f"<p>Edition {mark}.</p></body>").encode()
        lap += 1


def _rendered() -> Iterator[tuple[str, str]]:
    document = pydoc.HTMLDoc()
    warnings.simplefilter("ignore")
    for library in _LIBRARIES:
        root = importlib.import_module(library)
        found = pkgutil.walk_packages(getattr(root, "__path__", []), f"{library}.", onerror=lambda name: None)
        names = [library, *(module.name for module in found if "test" not in module.name and "._" not in module.name)]
        for name in names[:60]:
            try:
                module = importlib.import_module(name)
                html = document.page(pydoc.describe(module), document.document(module, name))
            except (ImportError, AttributeError, TypeError, ValueError, SystemExit):
                continue  # not every module of every library can be imported or described
            if len(html) <= _LARGEST:
                yield name, html


def show(report: dict[str, Any]) -> None:
    pages = report["pages"]
    print(f"{pages['count']} pages, {pages['bytes'] / 1e6:.1f} MB, median {pages['median'] / 1e3:.1f} KB")
    for name, figures in {**report["stages"], **report["runs"]}.items():
        line = f"{name:28} {figures['seconds']:8.2f} s {figures['docs_per_s']:9.1f} docs/s"
        if "peak_memory" in figures:
            line += f" {figures['docs_per_cpu_s']:9.1f} docs/s of a core {figures['peak_memory'] / 2**20:6.0f} MiB"
        print(line)
    print(f"isolation costs {report['isolation']:.1%} of the throughput of a core")


if __name__ == "__main__":
    main()
