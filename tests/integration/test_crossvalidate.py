"""A fold of a recipe whose workers train in step, by the command as Airflow runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.step import Context
from tests.gang.gang import ROOT
from tests.unit.test_evaluate_merge import rows

pytestmark = pytest.mark.integration

SECTIONS = {
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
    source = {"live": {"files": {"path": "/nowhere/*.jsonl"}}}
    (tmp_path / "docs.yaml").write_text(yaml.safe_dump({"corpus": "docs", "source": source, **SECTIONS}))
    (tmp_path / "scratch").mkdir()
    command = ["crossvalidate", f"--corpus={tmp_path / 'docs.yaml'}", f"--snapshot={'a' * 16}", "--fold=1/2", "--json"]
    environment = {
        **os.environ,
        "NIGHTSHIFT_STORE": context.store.url,
        "NIGHTSHIFT_CPUS": "1",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path / "scratch"),
    }
    ended = subprocess.run(
        [sys.executable, "-c", "from tasks.cli import main; main()", *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stderr
    counts = json.loads(ended.stdout.splitlines()[-1])["counts"]
    assert counts["rows"] == 40
    assert counts["macro_f1"] > 0.5 > 1 / 3
    assert "[worker 0]" in ended.stderr
    assert "[worker 1]" not in ended.stderr
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not list(context.store.list("models/"))
