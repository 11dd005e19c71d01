"""Gate model: what says the same whatever it reads is refused, of kinds that have no classes too."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import GateFailed
from tasks.judging.base import JUDGES
from tasks.models._clusters import Assigned
from tasks.models.summarizer import Summary
from tests.gated import Gated, judge
from tests.unit.test_gates import gated

__all__ = ["gated"]  # the fixture

ROWS = 20
TABLE = {"table": {"columns": {"x": {"type": "number"}}}}
CLUSTERS = SimpleNamespace(labels=lambda model: ["cluster 0", "cluster 1"])
SUMMARIES = SimpleNamespace(labels=lambda model: [], params=SimpleNamespace(sentences=1))


def clustered(name: str, *, alike: bool) -> dict[str, Any]:
    """Metrics of rows in two heaps, told apart or all put in the first cluster."""
    heap = np.arange(ROWS) % 2
    points = heap[:, None] * 9.0 + np.arange(ROWS)[:, None] / 100
    judged = JUDGES.get(name)(CLUSTERS, None, ())  # type: ignore[arg-type]
    rows = {"uid": [f"{place:02}" for place in range(ROWS)], "label": pa.nulls(ROWS, pa.string())}
    judged.add(pa.table(rows), Assigned(points, np.eye(2)[heap * (not alike)], -points[:, 0]))
    return judged.metrics()


def summed_up(*, alike: bool) -> dict[str, Any]:
    """Metrics of texts whose first sentence is always, or now and then, the one that is taken."""
    judged = JUDGES.get("summaries")(SUMMARIES, None, ())  # type: ignore[arg-type]
    rows = {"sentences": [["one thing", "other thing"]] * ROWS, "summary": ["one thing"] * ROWS}
    said = [Summary([0], [0.9 if alike else 0.9 - place / 100, 0.1]) for place in range(ROWS)]
    judged.add(pa.table({**rows, "url": pa.nulls(ROWS, pa.string())}), said)
    return judged.metrics()


@pytest.mark.parametrize(
    ("recipe", "kind", "measured", "fails"),
    [
        ("summarizer", "summaries", summed_up, "distinct_predictions"),
        ("kmeans", TABLE, lambda alike: clustered("clusters", alike=alike), "silhouette"),
        ("gaussian_mixture", TABLE, lambda alike: clustered("mixture", alike=alike), "silhouette"),
    ],
    ids=["summarizer", "kmeans", "gaussian_mixture"],
)
def test_a_constant_is_refused_and_what_tells_rows_apart_is_not(
    gated: Callable[..., Gated], recipe: str, kind: Any, measured: Callable[..., dict[str, Any]], fails: str
) -> None:
    train = {"recipe": recipe if recipe == "summarizer" else {recipe: {"on": "row"}}}
    given = gated(kind=kind, train=train)
    given.model(measured(alike=False))
    assert judge(given, "model")["passed"]
    given.model(measured(alike=True))
    with pytest.raises(GateFailed, match=rf"(?m)^\s*{fails} "):
        judge(given, "model")
