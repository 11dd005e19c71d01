"""``make faults``: the whole matrix; prints its progress, writes build/faults.json and docs/faults.md.

python -m tests.faults [--where local|kubernetes] [--only WORDS ...] [--page]

Without --where: here, and in pods where KUBECONFIG names a cluster. A run of a part keeps the other rows; the page
keeps what it says of a place that was never measured on this machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from tests.faults.fault import FAULTS, Fault
from tests.faults.ground import Ground, Size, ground
from tests.faults.outcome import Outcome
from tests.faults.page import render
from tests.faults.run import Row, carry_out, undisturbed

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "build" / "faults.json"
PAGE = ROOT / "docs" / "faults.md"
_COUNTS = {1: "one shared core", 2: "two shared cores"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="faults whose name and moment contain one of these")
    parser.add_argument("--where", choices=("local", "kubernetes"), help="measure the rows of one place alone")
    parser.add_argument("--page", action="store_true", help="measure nothing: write the page of the rows there are")
    arguments = parser.parse_args()
    if arguments.page:
        return 0 if write_page(Results(RESULTS, keep=True), PAGE) else 1
    in_pods = arguments.where == "kubernetes"
    if in_pods and not os.environ.get("KUBECONFIG"):
        print("--where kubernetes: no KUBECONFIG, so there is no cluster to measure on; see docs/kubernetes.md")
        return 2
    if in_pods and arguments.only != [""]:
        print(
            "--only chooses among the local faults; of those in pods: pytest tests/kubernetes/test_faults.py -k WORDS"
        )
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    chosen = [fault for fault in FAULTS if any(words in f"{fault.name}, {fault.moment}" for words in arguments.only)]
    if not chosen:
        print(f"no fault has {arguments.only!r}; there are:", *(f"  {f.name}, {f.moment}" for f in FAULTS), sep="\n")
        return 2
    whole = len(chosen) == len(FAULTS)
    everywhere = whole and arguments.where is None and bool(os.environ.get("KUBECONFIG"))
    results = Results(RESULTS, keep=not everywhere)
    rows: list[Row] = []
    if not in_pods:
        with tempfile.TemporaryDirectory(prefix="nightshift-faults-") as folder, ground(Path(folder)) as made:
            rows = _local(made, chosen, results)
    failed = _kubernetes(results) if everywhere or in_pods else False
    write_page(results, PAGE)
    wrong = [row for row in rows if not row.passed]
    if not in_pods:
        print(f"{len(rows) - len(wrong)} of {len(rows)} ended as they must; {RESULTS.relative_to(ROOT)}")
    return 1 if wrong or failed else 0


def write_page(results: Results, path: Path) -> bool:
    """Write what was measured on this machine, unless that is but a part of one place; whether it was written."""
    rows = [row for row in results.rows if row["where"] != "local" or results.whole]
    if not rows:
        print(f"{path.name} is as it was: some faults have no row on this machine yet")
        return False
    cores = os.cpu_count() or 1
    before = path.read_text() if path.exists() else ""
    path.write_text(render(rows, f"on {_COUNTS.get(cores, f'{cores} shared cores')}", before))
    return True


class Results:
    """The rows so far, on disk after each: a long run that breaks off has not been for nothing."""

    def __init__(self, path: Path, *, keep: bool) -> None:
        self._path = path
        self._rows: dict[str, dict[str, Any]] = {}
        if keep and path.exists():
            self._rows = {_key(row): row for row in json.loads(path.read_text())}

    def add(self, values: dict[str, Any]) -> None:
        """Keep this row (``Row.to_json``) instead of an earlier one of the same fault."""
        self._rows[_key(values)] = values
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps(self.rows, indent=1) + "\n")

    def replace(self, where: str, rows: Sequence[dict[str, Any]]) -> None:
        """Keep these rows of a place and no earlier one: what failed now has not passed because it did once."""
        self._rows = {key: row for key, row in self._rows.items() if row["where"] != where}
        for row in rows:
            self.add(row)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """In the order of the matrix, those of other places after them."""
        order = {_key({"name": f.name, "moment": f.moment, "where": "local"}): i for i, f in enumerate(FAULTS)}
        return [self._rows[key] for key in sorted(self._rows, key=lambda key: order.get(key, len(order)))]

    @property
    def whole(self) -> bool:
        """Whether every fault has its row on this machine."""
        return {(f.name, f.moment) for f in FAULTS} <= {
            (row["name"], row["moment"]) for row in self.rows if row["where"] == "local"
        }


def _key(row: Mapping[str, Any]) -> str:
    return f"{row['name']}, {row['moment']} ({row['where']})"


def _local(made: Ground, faults: Sequence[Fault], results: Results) -> list[Row]:
    whole: dict[Size, Outcome] = {}
    rows = []
    for number, fault in enumerate(faults, 1):
        if fault.size not in whole:
            began = time.monotonic()
            whole[fault.size] = undisturbed(made.place("undisturbed", fault.size))
            print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
        row = _tried(fault, made, whole[fault.size])
        rows.append(row)
        results.add(row.to_json())
        print(f"[{number}/{len(faults)}] {_told(row)}", flush=True)
    return rows


def _kubernetes(results: Results) -> bool:
    """The same in pods; whether a test failed."""
    with tempfile.TemporaryDirectory(prefix="nightshift-faults-") as folder:
        kept = Path(folder) / "rows"
        command = [sys.executable, "-m", "pytest", "-v", "tests/kubernetes/test_faults.py"]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "NIGHTSHIFT_FAULT_ROWS": str(kept)}, check=False)
        if kept.exists():
            results.replace("kubernetes", [json.loads(line) for line in kept.read_text().splitlines()])
    return done.returncode != 0


def _tried(fault: Fault, made: Ground, whole: Outcome) -> Row:
    try:
        return carry_out(fault, made.place(f"fault-{FAULTS.index(fault)}", fault.size), whole)
    except (AssertionError, TimeoutError) as error:  # that one is lost; the others are worth knowing
        return Row(fault.name, fault.moment, wrong=[str(error)])


def _told(row: Row) -> str:
    end = "as it must" if row.passed else "WRONG: " + "; ".join(row.wrong)
    ended = f"ended after {row.detected} s, trained again after {row.recovered} s"
    times = "went on" if row.detected is None else ended
    return (
        f"{row.name}, {row.moment}: {times}, resumed from {row.resumed_from} (lost about {row.lost_steps}), "
        f"{row.orphans} left over, weights {'same' if row.same else row.distance}; {row.seconds} s: {end}"
    )


if __name__ == "__main__":
    sys.exit(main())
