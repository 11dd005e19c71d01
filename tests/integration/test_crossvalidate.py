"""A fold of a recipe whose workers train in step, by the command as Airflow runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.step import Context
from tests.child import counts_of
from tests.unit.test_evaluate_merge import rows

pytestmark = pytest.mark.integration

SECTIONS: dict[str, Any] = {
    "train": {
        "recipe": {
            "text_encoder": {"epochs": 40, "batch_size": 8, "learning_rate": 0.03, "dimension": 8, "dropout": 0}
        },
        "shards": 1,
    },
    "crossvalidate": {"folds": 2},
    "resources": {"workers": 3},
}


def test_a_fold_of_a_network_is_trained_by_one_worker_and_measured(
    tmp_path: Path,
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    make_snapshot: Callable[..., Manifest],
) -> None:
    context = make_context(make_corpus(**SECTIONS))
    make_snapshot(context, train=rows(80), validation=rows(10, seed=1))
    counts, log = counts_of(tmp_path, context, "crossvalidate", "--fold=1/2", **SECTIONS)
    assert counts["rows"] == 40
    assert counts["macro_f1"] > 0.5 > 1 / 3
    assert "[worker 0]" in log
    assert "[worker 1]" not in log
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not list(context.store.list("models/"))
