"""The DAG files over corpora that a test writes, read as Airflow reads them."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk import DAG

DAGS = Path(__file__).parents[1] / "dags"
FILES = ("ingest", "retrain", "predict", "upkeep")
CORPUS: dict[str, Any] = {
    "source": {
        "live": {"files": {"path": "/nowhere/*.jsonl"}},
        "history": {"files": {"path": "/old/{partition}.jsonl"}},
    },
    "train": {"recipe": "tfidf_forest", "shards": 3},
    "schedule": {},
}
INGEST = ["crawl", "gate_raw", "clean", "dedup", "stats", "gate_clean", "split", "gate_splits", "upload"]
RETRAIN = [
    "wait_for_ingest", "snapshot", "prepare", "combine", "gate_features", "train", "evaluate_parts", "merge",
    "evaluate", "gate_model", "promote", "backup",
]  # fmt: skip


@pytest.fixture
def corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIGHTSHIFT_CORPORA", str(tmp_path))
    monkeypatch.syspath_prepend(str(DAGS))
    return tmp_path


def write(folder: Path, name: str, **sections: Any) -> None:
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"corpus": name, **CORPUS, **sections}))


def load(*files: str) -> dict[str, DAG]:
    made = [value for file in files for value in runpy.run_path(str(DAGS / f"{file}.py")).values()]
    return {dag.dag_id: dag for dag in made if isinstance(dag, DAG)}


def order(dag: DAG) -> list[str]:
    return [task.task_id for task in dag.topological_sort() if task.task_id in dag.task_ids]


def dag_of(folder: Path, file: str, dag_id: str, **sections: Any) -> DAG:
    write(folder, "docs", **sections)
    return load(file)[dag_id]
