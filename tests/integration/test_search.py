"""Trials of a recipe whose workers train in step, by the command as Airflow runs it: one of them is ended early."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.searching.hunt import Hunt
from tasks.step import Context
from tests.child import counts_of
from tests.unit.test_evaluate_merge import rows

pytestmark = pytest.mark.integration

SECTIONS: dict[str, Any] = {
    "train": {
        "recipe": {"text_encoder": {"epochs": 6, "batch_size": 8, "dimension": 8, "dropout": 0}},
        "shards": 1,
    },
    # At the one rate nothing is learned, at the other all is: drawn by this seed in the order good, bad.
    "search": {
        "parameters": {"learning_rate": {"choices": [0.05, 0.000001]}},
        "trials": 2,
        "parallel": 1,
        "seed": 4,
        "sampler": "random",
        "pruner": {"startup": 1, "warmup": 1},
    },
    "resources": {"workers": 2},
}


def test_a_network_that_falls_behind_is_ended_and_the_other_ones_rate_is_the_runs(
    tmp_path: Path,
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    make_snapshot: Callable[..., Manifest],
) -> None:
    context = make_context(make_corpus(**SECTIONS))
    snapshot = make_snapshot(context, train=rows(60), validation=rows(20, seed=1), test=rows(20, seed=2))
    for entry in snapshot.of_role("test"):
        context.store.write(entry.key, b"unreadable")
    counts, log = counts_of(tmp_path, context, "search", **SECTIONS)
    assert (counts["complete"], counts["pruned"], counts["failed"]) == (1, 1, 0)
    hunt = Hunt.of(context.corpus, snapshot)
    first, second = (context.catalog.load(hunt.trial(n), made_by="search").details["trial"] for n in range(2))
    assert (first["state"], second["state"]) == ("complete", "pruned")
    assert [epoch for epoch, _ in first["seen"]] == [1, 2, 3, 4, 5]
    assert [epoch for epoch, _ in second["seen"]] == [1, 2], "the first epoch is warm-up"
    assert hunt.training(context).corpus.train.recipe.params.learning_rate == 0.05
    assert "[worker 1]" not in log, "a trial is trained by one worker"
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not list(context.store.list("models/"))
