"""``make faults``: the whole matrix; prints its progress, writes build/faults.json and docs/faults.md.

python -m tests.faults [--only WORDS] [--no-page]
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

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
    parser.add_argument("--only", default="", help="faults whose name and moment contain this")
    parser.add_argument("--no-page", action="store_true", help="leave docs/faults.md as it is")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    chosen = [fault for fault in FAULTS if arguments.only in f"{fault.name}, {fault.moment}"]
    if not chosen:
        print(
            f"no fault contains {arguments.only!r}; there are:", *(f"  {f.name}, {f.moment}" for f in FAULTS), sep="\n"
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="nightshift-faults-") as folder, ground(Path(folder)) as made:
        rows = _local(made, chosen)
    RESULTS.parent.mkdir(exist_ok=True)
    values = [row.to_json() for row in rows]
    RESULTS.write_text(json.dumps(values, indent=1) + "\n")
    if not arguments.no_page and not arguments.only:
        cores = os.cpu_count() or 1
        PAGE.write_text(render(values, f"on {_COUNTS.get(cores, f'{cores} shared cores')}"))
    wrong = [row for row in rows if not row.passed]
    print(f"{len(rows) - len(wrong)} of {len(rows)} ended as they must; {RESULTS.relative_to(ROOT)}")
    return 1 if wrong else 0


def _local(made: Ground, faults: Sequence[Fault]) -> list[Row]:
    whole: dict[Size, Outcome] = {}
    rows = []
    for number, fault in enumerate(faults, 1):
        if fault.size not in whole:
            began = time.monotonic()
            whole[fault.size] = undisturbed(made.place("undisturbed", fault.size))
            print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
        row = _tried(fault, made, whole[fault.size])
        rows.append(row)
        print(f"[{number}/{len(faults)}] {_told(row)}", flush=True)
    return rows


def _tried(fault: Fault, made: Ground, whole: Outcome) -> Row:
    try:
        return carry_out(fault, made.place(f"fault-{FAULTS.index(fault)}", fault.size), whole)
    except (AssertionError, TimeoutError) as error:  # that one is lost; the others are worth knowing
        return Row(fault.name, fault.moment, wrong=[str(error)])


def _told(row: Row) -> str:
    end = "as it must" if row.passed else "WRONG: " + "; ".join(row.wrong)
    times = f"ended after {row.detected} s, trained again after {row.recovered} s" if row.detected else "went on"
    return (
        f"{row.name}, {row.moment}: {times}, resumed from {row.resumed_from} (lost about {row.lost_steps}), "
        f"{row.orphans} left over, weights {'same' if row.same else row.distance}; {row.seconds} s: {end}"
    )


if __name__ == "__main__":
    sys.exit(main())
