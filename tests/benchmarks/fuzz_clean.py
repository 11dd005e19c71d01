"""Poison by the million: mutated pages, texts, WARC files, images, archives and row files through all of cleaning.

    python -m tests.benchmarks.fuzz_clean [--inputs 1000000] [--first 0] [--workers 2] [--guided 0.05]

Of each sixteen inputs six are pages, and two each of the others (`fuzzing/shares.py`); the report counts them by kind.
A share of the inputs is chosen by atheris, which looks for those that reach new code; the others are numbered, and
number n is a pure function of n: a finding is repeated by `--first n --inputs 1 --guided 0`, one of atheris by
`--repeat FILE`. A finding is an exception (of a page: the reject `crash`), a process that died, an input that took more
than a second of processor time, a measured value that is no number, or text that cannot be stored; a process that
grew by more than 128 MiB between its first tenth and its end is one too. Writes build/bench/fuzz.json as it goes, and
exits 1 if there is any finding.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.fuzzing.hunt import ATHERIS, ROOT, hunt
from tests.benchmarks.fuzzing.inputs import Input, prepare
from tests.benchmarks.fuzzing.shares import KINDS, kinds_of
from tests.benchmarks.fuzzing.subject import attempt, tried
from tests.benchmarks.fuzzing.workers import run

_EVERY = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--guided", type=float, default=0.05, help="share of the inputs that atheris chooses")
    parser.add_argument("--repeat", type=Path, help="an input that atheris found")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # what Pillow says of each spoilt image
    if given.repeat:
        findings = list(tried(Input.of(given.repeat.read_bytes())))
        print("\n".join(findings) or "nothing found")
        return int(bool(findings))
    guided = int(given.inputs * given.guided)
    if guided and not (ATHERIS / "atheris").is_dir():
        print(f"no atheris in {ATHERIS}: `make fuzz` installs it, and --guided 0 does without", file=sys.stderr)
        return 2
    report = Report(given.first, {"numbered": given.inputs - guided, "guided": guided})
    chosen = threading.Thread(target=lambda: report.end("guided", hunt(guided, ROOT / "build" / "fuzz", report.guided)))
    if guided:
        prepare()
        chosen.start()
    workers = max(1, given.workers - bool(guided))
    report.end("numbered", run(given.first, given.inputs - guided, workers, attempt, report.numbered))
    if guided:
        chosen.join()
    return report.close()


class Report:
    """What was done and found so far: an interrupted run has a report too."""

    def __init__(self, first: int, asked: dict[str, int]) -> None:
        self._first = first
        self._asked = asked
        self._done: dict[str, Counter[str]] = {name: Counter() for name in asked}
        self._findings: dict[str, list[str]] = {name: [] for name in asked}
        self._ended = {name for name, count in asked.items() if not count}
        self._started = self._written = time.monotonic()
        self._turn = threading.Lock()

    def numbered(self, done: Sequence[range], findings: Sequence[str]) -> None:
        """So far, of the numbered inputs."""
        self._take("numbered", sum(map(kinds_of, done), Counter()), findings)

    def guided(self, done: Counter[str], findings: Sequence[str]) -> None:
        """So far, of those that atheris chose."""
        self._take("guided", done, findings)

    def end(self, name: str, findings: Sequence[str]) -> None:
        """All inputs of a kind are done."""
        self._ended.add(name)
        self._take(name, self._done[name], findings)

    def close(self) -> int:
        """Print the result; the exit code."""
        written = self._write()
        print(f"{written['inputs']:,} inputs in {written['seconds']:,.0f} s: {len(written['findings'])} found")
        print(", ".join(f"{count:,} {kind}" for kind, count in written["kinds"].items()))
        for finding in written["findings"][:20]:
            print(f"  {finding}")
        return int(bool(written["findings"]) or not written["whole"])

    def _take(self, name: str, done: Counter[str], findings: Sequence[str]) -> None:
        with self._turn:
            self._done[name], self._findings[name] = done, list(findings)
            if time.monotonic() - self._written > _EVERY:
                self._written = time.monotonic()
                written = self._write()
                print(f"{written['inputs']:,} inputs ({written['per_second']:,.0f}/s)", flush=True)

    def _write(self) -> dict[str, Any]:
        seconds = time.monotonic() - self._started
        inputs = sum(each.total() for each in self._done.values())
        report = {
            "inputs": inputs,
            **{name: each.total() for name, each in self._done.items()},
            "kinds": {kind: sum(each[kind] for each in self._done.values()) for kind in KINDS},
            "first": self._first,
            "seconds": round(seconds, 1),
            "per_second": round(inputs / seconds, 1),
            "whole": self._ended == set(self._asked),
            "findings": [finding for some in self._findings.values() for finding in some],
        }
        target = ROOT / "build" / "bench" / "fuzz.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(report, indent=1) + "\n")
        return report


if __name__ == "__main__":
    sys.exit(main())
