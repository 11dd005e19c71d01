"""What ``make bench`` runs, and what has a make target of its own."""

from __future__ import annotations

import re
from pathlib import Path

from tests.benchmarks.__main__ import PARTS

ROOT = Path(__file__).parents[2]


def test_every_benchmark_is_in_make_bench_or_has_a_target_of_its_own() -> None:
    there = {path.stem.removeprefix("bench_") for path in (ROOT / "tests" / "benchmarks").glob("bench_*.py")}
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^bench-([a-z]+):.*\n\t.*-m tests\.benchmarks\.bench_(\w+)", makefile, re.M)
    assert [target for target, module in targets if target != module] == []
    assert sorted([*PARTS, *(module for _, module in targets)]) == sorted(there)
