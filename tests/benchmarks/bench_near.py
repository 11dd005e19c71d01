"""Near-duplicates of corpora of up to ten million documents: memory, seconds, the cost of one more night, and how right
they are.

    python -m tests.benchmarks.bench_near [--sizes 100000,300000,1000000,3000000,10000000] [--texts 200000]

Prints a table and writes build/bench/near.json. Precision and recall are measured on generated texts with their own
signatures, against exact Jaccard similarity. The growth curve takes signatures that are generated directly: 70 % of the
documents have no twin, 29 % are in clusters of three on average whose members share 30 to 100 % of their shingles, 1 %
in clusters of a thousand. Every size is measured in a process of its own, which holds the keys of all documents as a
snapshot does; the exit code is 1 if one needs more than the budget of 2 GiB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.near.measure import NIGHT, peak_memory
from tests.benchmarks.near.quality import quality

ROOT = Path(__file__).parents[2]
BUDGET = 2 << 30
SIZES = "100000,300000,1000000,3000000,10000000"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--scratch", help="a folder with 25 GB to spare for ten million documents")
    given = parser.parse_args()
    report: dict[str, Any] = {"budget": BUDGET, "night_documents": NIGHT, "sizes": []}
    for size in map(int, given.sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="nightshift-bench-near-", dir=given.scratch) as folder:
            report["sizes"].append(measured(size, folder))
        show(report["sizes"][-1])
        written(report)  # ten million take long: what was measured before them is kept whatever becomes of them
    if given.texts:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="nightshift-bench-near-", dir=given.scratch) as folder:
            report["quality"] = quality(given.texts, Path(folder)) | {"seconds": round(time.monotonic() - begun, 1)}
        report |= {name: report["quality"][name] for name in ("precision", "recall")}
        print(json.dumps(report["quality"], indent=1))
    report["bench_peak_rss"] = peak_memory()
    written(report)
    return int(any(max(each["peak_rss"], each["night_peak_rss"]) > BUDGET for each in report["sizes"]))


def written(report: dict[str, Any]) -> None:
    """Keep what is measured so far."""
    target = ROOT / "build" / "bench" / "near.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")


def measured(size: int, folder: str) -> dict[str, Any]:
    """The whole corpus at once, then one more night, each in a process of its own."""
    found: dict[str, Any] = {"documents": size}
    for phase in ("generate", "whole", "night"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.near.measure", phase, str(size), folder],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        found |= json.loads(done.stdout.splitlines()[-1])
    return found


def show(row: dict[str, Any]) -> None:
    for phase, name in (("", f"{row['documents']:,} documents"), ("night_", f"one more night of {NIGHT:,}")):
        print(
            f"{name:<28} index {row[f'{phase}index_seconds']:>8.2f} s (core {row[f'{phase}index_cpu_seconds']:.2f}), "
            f"deciding {row[f'{phase}decide_seconds']:>7.2f} s ({row[f'{phase}decide_cpu_seconds']:.2f}), "
            f"{row[f'{phase}decided']:,} decided about, peak {row[f'{phase}peak_rss'] / 2**20:,.0f} MiB, "
            f"{row[f'{phase}removed']:,} removed, "
            f"{row[f'{phase}pairs']:,} pairs, index of {row[f'{phase}index_bytes'] / 2**20:,.0f} MiB, "
            f"verdict of {row[f'{phase}verdict_bytes'] / 2**20:,.1f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
