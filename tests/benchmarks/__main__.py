"""``make bench``: every ``bench_*.py`` of this folder, one after another; each prints a table and writes its JSON."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run them all; the exit code is that of the first that failed, else 0."""
    failed = 0
    for script in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n== {script.stem.removeprefix('bench_')}", flush=True)
        module = f"tests.benchmarks.{script.stem}"
        done = subprocess.run([sys.executable, "-m", module], cwd=Path(__file__).parents[2], check=False)
        failed = failed or done.returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
