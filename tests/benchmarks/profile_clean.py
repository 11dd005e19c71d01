"""Where the time of cleaning goes, stage by stage: one process, no children, the pages and filters of bench_clean.

    python -m tests.benchmarks.profile_clean [--pages 1000] [--extraction article]

Prints seconds of one core, for a first pass over the pages and for a second, that has met every word before.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.cleaning import sides
from tests.benchmarks.cleaning.pages import write_warc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--extraction", default=sides.EXTRACTION)
    arguments = parser.parse_args()
    from tasks.cleaning import refine
    from tasks.cleaning.raw import batches
    from tasks.cleaning.reading import read_warc
    from tasks.config.clean import Clean
    from tasks.text import tokens

    spent: Counter[str] = Counter()

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*given, **named)
            finally:
                spent[name] += time.thread_time() - started

        return run

    for name in ("decode", "unreadable", "tidy", "identify"):
        setattr(refine, name, timed(name, getattr(refine, name)))
    refiner = refine.Refiner(Clean.model_validate({"filters": sides.FILTERS, "extraction": arguments.extraction}))
    refiner._extract = timed("extract", refiner._extract)
    for name, judge in refiner._filters:
        judge.judge = timed(name, judge.judge)  # type: ignore[method-assign]
    tokens.Vocabulary.read = timed("(words, within filters)", tokens.Vocabulary.read)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as scratch:
        warc = Path(scratch) / "pages.warc.gz"
        write_warc(warc, arguments.pages, [])
        started = time.thread_time()
        packed = list(batches(read_warc(warc, name="pages", limit=10_000_000, tally=Counter())))
        print(f"{'reading':<24}{time.thread_time() - started:8.3f} s")
    refiner.batch(packed[0].slice(0, 1))  # imports are no page's time
    for lap in ("first", "second"):
        spent.clear()
        started = time.thread_time()
        for batch in packed:
            refiner.batch(batch)
        print(f"\n{lap + ' pass, all':<24}{time.thread_time() - started:8.3f} s")
        for name, seconds in spent.most_common():
            print(f"{name:<24}{seconds:8.3f} s")


if __name__ == "__main__":
    main()
