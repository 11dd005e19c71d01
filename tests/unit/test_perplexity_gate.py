"""Gate model and perplexity: lower is better, and what reads nothing does not pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from tasks.errors import GateFailed
from tasks.judging.perplexity import Perplexity
from tasks.models._likelihood import Read
from tests.gated import Gated, judge
from tests.unit.test_gates import gated

__all__ = ["gated"]  # the fixture


def report(perplexity: float, baseline: float = 100.0) -> dict[str, Any]:
    """The metrics of a hundred words read with these perplexities."""
    measured = Perplexity(None, None, ())
    measured.add(pa.table({}), [Read(-100 * math.log(perplexity), 200, 100, 500, -100 * math.log(baseline))])
    return measured.metrics()


def given_text(gated: Callable[..., Gated], **model: Any) -> Gated:
    return gated(kind="text", train={"recipe": "language_model"}, gates={"model": model})


@pytest.mark.parametrize(
    ("ours", "theirs", "model", "fails"),
    [
        (99.0, None, {}, "above_baseline"),
        (96.0, None, {}, "above_baseline"),
        (100.0, None, {}, "above_baseline"),
        (math.nan, None, {}, "perplexity"),
        (math.inf, None, {}, "above_baseline"),
        (61.0, None, {"floors": {"perplexity": 60}}, "perplexity"),
        (52.0, 50.0, {"tolerance": 0.03}, "perplexity_below_champion"),
    ],
)
def test_a_model_that_reads_nothing_or_got_worse_is_refused(
    gated: Callable[..., Gated], ours: float, theirs: float | None, model: dict[str, Any], fails: str
) -> None:
    given = given_text(gated, **model)
    given.model(report(ours), None if theirs is None else report(theirs))
    with pytest.raises(GateFailed, match=rf"(?m)^\s*{fails} "):
        judge(given, "model")


def test_one_that_reads_passes_as_it_may_be_a_little_worse_than_the_champion(gated: Callable[..., Gated]) -> None:
    given = given_text(gated, floors={"perplexity": 60}, tolerance=0.03)
    given.model(report(51.0), report(50.0))
    details = judge(given, "model")
    assert details["passed"]
    assert details["metrics"]["perplexity_below_champion"] == pytest.approx(0.02)
    assert details["metrics"]["above_baseline"] == pytest.approx(0.49)
