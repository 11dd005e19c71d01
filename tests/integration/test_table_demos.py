"""The demo corpora of tables, as they stand: their data, their gates on ranges and drift, and what comes of them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from containers.embedded.data.make import make
from tasks.config import yaml12
from tasks.errors import GateFailed
from tasks.predict import predict_files
from tests.chain import Chain

pytestmark = pytest.mark.integration

CORPORA = Path(__file__).parents[2] / "dags" / "corpora"


def chain_of(folder: Path, name: str, file: str) -> Chain:
    corpus = yaml12.parse((CORPORA / f"{name}.yaml").read_text())
    corpus["source"]["live"]["files"]["path"] = str(folder / name / file)
    return Chain(folder, corpus)


def changed(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    with path.open(newline="") as stream:
        rows = [change(row) for row in csv.DictReader(stream)]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_patients_are_foretold_and_a_night_of_another_unit_or_range_stops(tmp_path: Path) -> None:
    data = make(tmp_path, "table")
    assert data is not None
    chain = chain_of(tmp_path, "table", "patients*.csv")
    chain.ingest("2026-11-20")
    training = chain.retrain()
    metrics = chain.metrics(training)
    for split in ("validation", "test"):
        assert metrics[split]["r2"] > 0.2
        assert metrics[split]["rmse"] < metrics[split]["deviation"]
    predict_files(chain.context, [data / "unseen.csv"], tmp_path / "said", text="text", workers=1)
    said = pq.read_table(tmp_path / "said" / "predictions.parquet").to_pylist()
    assert len(said) == 5
    assert all(0 < row["predicted"] < 350 for row in said)

    file = data / "patients.csv"
    whole = file.read_bytes()
    pounds = {"bmi": lambda row: {**row, "id": f"new {row['id']}", "bmi": str(float(row["bmi"]) * 1.3)}}
    changed(file, pounds["bmi"])
    with pytest.raises(GateFailed, match="column_bmi_drift"):
        chain.ingest("2026-11-21")
    file.write_bytes(whole)
    changed(file, lambda row: {**row, "id": f"late {row['id']}", "age": "-1" if int(row["id"][-1]) < 2 else row["age"]})
    with pytest.raises(GateFailed, match="faulty_share"):
        chain.ingest("2026-11-22")


def test_wines_are_grouped_as_their_growers_would(tmp_path: Path) -> None:
    data = make(tmp_path, "clusters")
    assert data is not None
    chain = chain_of(tmp_path, "clusters", "wines*.csv")
    chain.ingest()
    metrics = chain.metrics(chain.retrain())
    assert metrics["test"]["adjusted_rand"] > 0.6, "though nobody told it"
    predict_files(chain.context, [data / "unseen.csv"], tmp_path / "said", text="text", workers=1)
    said = pq.read_table(tmp_path / "said" / "predictions.parquet").to_pylist()
    assert len({row["predicted"] for row in said}) == 3
