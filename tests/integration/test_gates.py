"""Gates as Airflow runs them: `nightshift` processes, exit codes, a real S3 store."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.catalog import Manifest
from tasks.combine import combine
from tasks.config import Corpus, load_corpus
from tasks.errors import GateFailed
from tasks.evaluate import evaluate, evaluate_part
from tasks.gate import gate
from tasks.merge import merge
from tasks.prepare import prepare
from tasks.step import Context
from tasks.store import Store
from tasks.train import train
from tasks.training import Training
from tests.conftest import CORPUS
from tests.gated import DAY, Gated, documents

pytestmark = pytest.mark.integration

RAN = "from tasks.cli import main; main()"


class Shell:
    """Runs commands over one store and one corpus file."""

    def __init__(self, given: Gated, file: Path, env: dict[str, str]) -> None:
        self.given, self._file, self._env = given, file, env

    def configure(self, **sections: Any) -> None:
        self._file.write_text(yaml.safe_dump({**CORPUS, **sections}))

    def run(self, *arguments: str, code: int = 0, python: tuple[str, ...] = ()) -> tuple[dict[str, Any], str]:
        """The result on the last line, and standard error; fails unless it exits with ``code``."""
        done = subprocess.run(
            [sys.executable, *python, "-c", RAN, *arguments, "--corpus", str(self._file), "--json"],
            env={**self._env, "NIGHTSHIFT_STORE": self.given.context.store.url},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stderr
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result, done.stderr

    def gate(self, stage: str, **options: Any) -> tuple[dict[str, Any], str]:
        return self.run("gate", stage, "--partition", DAY, **options)


@pytest.fixture
def shell(s3_store: Store, s3_env: dict[str, str], make_context: Callable[..., Context], tmp_path: Path) -> Shell:
    file = tmp_path / "docs.yaml"
    file.write_text(yaml.safe_dump(CORPUS))
    context = make_context(corpus=load_corpus(file, {}), store=s3_store)
    return Shell(Gated(context, tmp_path), file, s3_env)


def imported(log: str) -> set[str]:
    """The modules of a log of ``-X importtime``, and the packages that they are in."""
    names = {line.rsplit("|", 1)[1].strip() for line in log.splitlines() if line.startswith("import time:")}
    return names | {name.partition(".")[0] for name in names}


def test_a_bad_day_stops_at_its_gate_until_somebody_releases_it(shell: Shell) -> None:
    """The night of a release, command by command: gate, split, release, gate, split, gate."""
    shell.given.clean(documents(), rejected=200)

    failed, said = shell.gate("clean", code=3)
    assert failed["error"]["type"] == "GateFailed"
    for line in ("reject_rate [", "observed 0.833333; expected at most 0.8", "Data Docs: s3://", "nightshift release"):
        assert line in failed["error"]["message"] and line in said
    assert "Calculating Metrics" not in said

    stopped, _ = shell.run("split", "--partition", DAY, code=3)
    assert stopped["error"]["type"] == "Quarantined" and "reject_rate" in stopped["error"]["message"]

    again, _ = shell.gate("clean", code=3)
    assert again == failed

    freed, _ = shell.run(
        "release", "--partition", DAY, "--stage", "clean", "--reason", "a new layout, looked at", "--by", "ada"
    )
    assert freed["message"] == f"gate clean of {DAY} is released by ada: a new layout, looked at"

    passed, _ = shell.gate("clean")
    assert passed["noop"] and passed["message"].startswith("passed by release of ada")
    shell.run("split", "--partition", DAY)
    judged, _ = shell.gate("splits")
    assert judged["counts"]["failed"] == 0 and judged["manifest"].endswith(f"/gates/docs/splits/{DAY}/_manifest.json")


def test_a_gate_that_has_nothing_new_to_judge_imports_no_judge(shell: Shell) -> None:
    shell.given.raw()
    _, first = shell.gate("raw", python=("-X", "importtime"))
    result, second = shell.gate("raw", python=("-X", "importtime"))
    assert result["noop"]
    assert "data_contracts" in imported(second)
    assert not imported(second) & {"great_expectations", "pandas", "pyarrow", "numpy", "scipy", "sklearn"}
    assert "great_expectations" in imported(first)
    assert not imported(first) & {"altair", "scipy.stats", "sqlalchemy.util.langhelpers"}


def test_a_gate_over_nothing_is_a_mistake_of_the_caller(shell: Shell) -> None:
    result, _ = shell.gate("raw", code=2)
    assert "run `nightshift crawl --corpus docs --partition 2026-11-20` first" in result["error"]["message"]


def test_a_real_training_passes_its_gates_and_shuffled_labels_do_not(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], make_snapshot: Callable[..., Manifest]
) -> None:
    """What `combine`, `merge` and `evaluate` write is what the suites read."""
    topics = {"sea": "ship sail harbour wave anchor tide", "wood": "oak branch leaf root moss fern"}
    rows = [{"text": f"{words} number {i}", "label": label} for i in range(60) for label, words in topics.items()]
    wrong = [{**row, "label": random.Random(i).choice(["sea", "wood"])} for i, row in enumerate(rows)]
    corpus = make_corpus(
        train={"recipe": {"tfidf_forest": {"min_df": 1}}, "shards": 1, "near": None},
        gates={"model": {"floors": {"macro_f1": 0.9}}},
    )
    context = make_context(corpus)
    for name, data in (("a" * 16, rows), ("b" * 16, wrong)):
        training = Training.of(
            corpus, make_snapshot(context, name, train=data[:80], validation=data[80:100], test=data[100:])
        )
        prepare(context, training, training.shards[0])
        combine(context, training)
        assert gate(context, "features", partition=None, snapshot=name).counts["failed"] == 0
        train(context, training, training.shards[0])
        evaluate_part(context, training, training.shards[0])
        merge(context, training)
        evaluate(context, training, datetime(2026, 11, 21, tzinfo=UTC))
        if data is rows:
            passed = gate(context, "model", partition=None, snapshot=name)
            assert "comparison with the champion: there is no champion yet" in passed.message
        else:
            with pytest.raises(GateFailed, match=r"macro_f1 .* expected 0\.9 to 1"):
                gate(context, "model", partition=None, snapshot=name)


def test_thresholds_come_from_the_yaml(shell: Shell) -> None:
    shell.given.raw(documents=40, unchanged=60)
    shell.gate("raw")
    shell.configure(gates={"raw": {"min_documents": 101}})
    result, _ = shell.gate("raw", code=3)
    assert "documents_there [" in result["error"]["message"]
    assert "observed 100; expected at least 101" in result["error"]["message"]
