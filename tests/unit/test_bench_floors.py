"""The floors say which ratio is on the wrong side, and the command fails then."""

from __future__ import annotations

import pytest

from tests.benchmarks.bench_floors import BOUNDS, verdicts


def test_at_the_bounds_all_is_well() -> None:
    lines, crossed = verdicts({name: bound.value for name, bound in BOUNDS.items()})
    assert not crossed
    assert not any("BELOW" in line or "ABOVE" in line for line in lines)


@pytest.mark.parametrize("name", BOUNDS)
def test_what_crosses_its_bound_is_named(name: str) -> None:
    bound = BOUNDS[name]
    ratios = {each: other.value for each, other in BOUNDS.items()}
    lines, crossed = verdicts(ratios | {name: bound.value * (0.9 if bound.at_least else 1.1)})
    assert crossed
    (said,) = (line for line in lines if "BELOW" in line or "ABOVE" in line)
    assert said.startswith(name)
