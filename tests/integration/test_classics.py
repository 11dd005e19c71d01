"""The classic recipes through the whole chain, from a file to a champion that predicts on rows it never saw."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tasks.errors import GateFailed
from tasks.predict import predict, predict_files
from tests.chain import DAY, Chain
from tests.offline import corpus, diabetes, iris, write

pytestmark = pytest.mark.integration

TOPICS = {
    "sea": ("wave", "tide", "ship", "sail"),
    "sky": ("star", "moon", "comet", "orbit"),
    "soil": ("moss", "root", "seed", "fern"),
}
PLAIN = [f"word{i}" for i in range(40)]


def documents(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Texts of three topics, most of whose words say nothing."""
    chance = random.Random(seed)
    rows = []
    for i in range(count):
        label = list(TOPICS)[i % 3]
        words = [*chance.choices(PLAIN, k=12), *chance.choices(TOPICS[label], k=5)]
        chance.shuffle(words)
        rows.append({"id": f"{seed}-{i}", "text": " ".join(words), "topic": label})
    return rows


def texts(folder: Path, recipe: Any, **sections: Any) -> Chain:
    path = write(documents(150), folder / "texts.jsonl")
    loose = {"gates": {"features": {"min_vocabulary": 3}, "splits": {"tolerance": 0.3}}}
    return Chain(folder, corpus("docs", path, {"recipe": recipe, "near": None}, label="topic", **{**loose, **sections}))


def table(folder: Path, rows: list[dict[str, Any]], kind: dict[str, Any], recipe: Any, **sections: Any) -> Chain:
    label = "label" if "label" in rows[0] else None
    loose = {"gates": {"splits": {"tolerance": 0.3}, "clean": {"max_unlabelled": 1}}}
    path = write(rows, folder / "rows.jsonl")
    return Chain(folder, corpus("docs", path, {"recipe": recipe}, label=label, kind=kind, **{**loose, **sections}))


def predictions(chain: Chain, folder: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    given = write(rows, folder / "given.jsonl")
    predict_files(chain.context, [given], folder / "said", text="text", workers=1)
    said: list[dict[str, Any]] = pq.read_table(folder / "said" / "predictions.parquet").to_pylist()
    return said


@pytest.mark.parametrize("recipe", ["svm", "decision_tree", "naive_bayes"])
def test_a_classifier_of_documents(recipe: str, tmp_path: Path) -> None:
    chain = texts(tmp_path, recipe)
    chain.ingest()
    training = chain.retrain()
    assert chain.metrics(training)["test"]["macro_f1"] > 0.8
    unseen = documents(30, seed=9)
    said = {row["uid"]: row["predicted"] for row in predictions(chain, tmp_path, unseen)}
    truth = {hashlib.sha256(row["id"].encode()).hexdigest()[:32]: row["topic"] for row in unseen}
    assert sum(said[uid] == label for uid, label in truth.items()) >= 26
    assert predict(chain.context, DAY).counts["documents"] == 150


@pytest.mark.parametrize("recipe", ["kmeans", "gaussian_mixture"])
def test_clusters_of_documents_need_no_label(recipe: str, tmp_path: Path) -> None:
    chain = texts(tmp_path, {recipe: {"clusters": 3, "dimensions": 3}})
    chain.ingest()
    training = chain.retrain()
    metrics = chain.metrics(training)
    assert metrics["validation"]["adjusted_rand"] > 0.7  # labels are there to judge by, and nobody trained on them
    assert metrics["test"]["silhouette"] > 0.3
    groups: dict[str, set[str]] = {}
    truth = {hashlib.sha256(r["id"].encode()).hexdigest()[:32]: r["topic"] for r in documents(30, seed=9)}
    for row in predictions(chain, tmp_path, documents(30, seed=9)):
        groups.setdefault(row["predicted"], set()).add(truth[row["uid"]])
        assert ("distance" if recipe == "kmeans" else "log_likelihood") in row
    assert len(groups) == 3


@pytest.mark.parametrize("recipe", ["kmeans", "gaussian_mixture"])
def test_clusters_of_a_table(recipe: str, tmp_path: Path) -> None:
    rows, kind = iris()
    chain = table(tmp_path, rows, kind, {recipe: {"clusters": 3, "on": "row", "rounds": 3}})
    chain.ingest()
    metrics = chain.metrics(chain.retrain())
    assert metrics["validation"]["adjusted_rand"] > 0.4
    assert set(metrics["validation"]["cluster_rows"]) == {"cluster 0", "cluster 1", "cluster 2"}


@pytest.mark.parametrize("recipe", ["linear_regression", {"gradient_boosting": {"iterations": 40}}])
def test_a_number_of_a_tables_rows(recipe: Any, tmp_path: Path) -> None:
    rows, kind = diabetes()
    chain = table(tmp_path, rows[:400], kind, recipe)
    chain.ingest()
    training = chain.retrain()
    metrics = chain.metrics(training)
    assert metrics["validation"]["r2"] > 0.25
    assert metrics["validation"]["rmse"] < metrics["validation"]["deviation"]
    report = chain.context.catalog.load(training.report(), made_by="evaluate")
    assert "residuals" in report.details["plots"]
    (page,) = report.of_role("report")
    html = chain.context.store.read(page.key).decode()
    assert "What is left, on validation" in html
    assert "Surest errors" not in html
    if recipe == "linear_regression":
        assert "of one deviation" in html
    asked = [{name: value for name, value in row.items() if name != "progression"} for row in rows[400:]]
    said = predictions(chain, tmp_path, asked)
    assert len(said) == len(asked)
    assert all(20 < row["predicted"] < 350 for row in said)


def test_rows_out_of_range_are_rejected_and_too_many_stop_the_night(tmp_path: Path) -> None:
    rows, kind = diabetes()
    kind["table"]["columns"]["bmi"] |= {"min": 10, "max": 60}
    faults: dict[int, dict[str, Any]] = {i: {"bmi": 999.0} for i in range(4)}
    faults |= {4: {"age": "old"}, 5: {"age": "?!"}, 6: {"age": 10**400}}  # the last is a number, and no float
    few = [{**row, **faults.get(i, {})} for i, row in enumerate(rows)]
    chain = table(tmp_path, few, kind, "linear_regression")
    chain.ingest()
    clean = chain.context.catalog.load(f"clean/docs/{DAY}", made_by="dedup")
    assert clean.counts["rejected"] == {"not_a_number": 2, "out_of_range": 5}
    many = [{**row, **({"bmi": 999.0} if i % 4 == 0 else {})} for i, row in enumerate(rows)]
    (tmp_path / "more").mkdir()
    chain = table(tmp_path / "more", many, kind, "linear_regression")
    with pytest.raises(GateFailed, match="faulty_share"):
        chain.ingest()


def test_a_column_that_drifts_stops_the_night(tmp_path: Path) -> None:
    rows, kind = diabetes()
    chain = table(tmp_path, rows[:200], kind, "linear_regression")
    chain.ingest("2026-11-20")
    fresh = [{**row, "id": f"new {row['id']}", "bp": row["bp"] + 2} for row in rows[200:300]]
    write(fresh, tmp_path / "rows.jsonl")
    chain.ingest("2026-11-21")  # two more are within what they differ by
    kilos = [{**row, "id": f"other {row['id']}", "bp": row["bp"] * 7.5} for row in rows[300:]]
    write(kilos, tmp_path / "rows.jsonl")
    with pytest.raises(GateFailed, match="column_bp_drift"):
        chain.ingest("2026-11-22")


def test_a_regression_that_always_says_the_same_is_refused(tmp_path: Path) -> None:
    rows, kind = diabetes()
    chance = random.Random(0)
    noise = [{**row, "progression": float(chance.randrange(1000))} for row in rows]
    chain = table(tmp_path, noise, kind, {"linear_regression": {"l2": 1e12}})
    chain.ingest()
    with pytest.raises(GateFailed, match=r"distinct_predictions|r2"):
        chain.retrain()


def test_the_report_of_naive_bayes_tells_priors_and_conditionals(tmp_path: Path) -> None:
    chain = texts(tmp_path, "naive_bayes")
    chain.ingest(gates=False)
    training = chain.retrain(gates=False, promoted=False)
    report = chain.context.catalog.load(training.report(), made_by="evaluate")
    (page,) = report.of_role("report")
    html = chain.context.store.read(page.key).decode()
    assert "Priors" in html
    assert "sea: wave" in html
    json.loads(chain.context.store.read(report.of_role("metrics")[0].key))
