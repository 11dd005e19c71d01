"""``make bench``: what a change is most likely to spoil, in some minutes; each part prints a table and writes its JSON.

``crawl``      pages a second of a first night, and of one without a change
``isolation``  documents a second and core of cleaning, peak memory, what child processes cost
``floors``     the same over a plain loop, with a floor under each ratio
``chain``      seconds of the whole chain end to end, and what a task costs beside its work

What takes hours, gigabytes of disk or other packages is a make target of its own, ``bench-<name>``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PARTS = ("crawl", "isolation", "floors", "chain")


def main() -> int:
    """Run them all; the exit code is that of the first that failed, else 0."""
    failed = 0
    for part in PARTS:
        print(f"\n== {part}", flush=True)
        module = f"tests.benchmarks.bench_{part}"
        done = subprocess.run([sys.executable, "-m", module], cwd=Path(__file__).parents[2], check=False)
        failed = failed or done.returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
