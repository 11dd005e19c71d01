"""Recommendations through the whole chain, on two workers: which names will a module of scikit-learn import next?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from containers.embedded.data import imports
from tasks.config import yaml12
from tasks.errors import BadInput, GateFailed
from tasks.predict import predict_files
from tasks.training import load_model
from tests.chain import DAY, Chain

pytestmark = pytest.mark.integration

CORPORA = Path(__file__).parents[2] / "dags" / "corpora"


def chain_of(folder: Path, rows: list[dict[str, Any]], strategy: str = "latest") -> Chain:
    """The demo's own corpus over these rows."""
    (folder / "imports.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = yaml12.parse((CORPORA / "imports.yaml").read_text())
    corpus["source"]["live"]["files"]["path"] = str(folder / "imports.jsonl")
    corpus["split"]["strategy"] = strategy
    corpus["gates"] |= {"raw": {}, "clean": {}}
    return Chain(folder, corpus)


def test_a_champion_on_two_workers_beats_what_is_popular_and_recommends_to_modules(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, list(imports.rows()))
    chain.ingest()
    training = chain.retrain()
    part = chain.context.catalog.load(training.model(training.parts[0]), made_by="train")
    assert part.volatile["workers"] == 2
    metrics = chain.metrics(training)
    for split in ("validation", "test"):
        assert metrics[split]["ndcg_10"] > metrics[split]["popularity_ndcg_10"] > 0.02
        assert metrics[split]["recall_10"] > metrics[split]["popularity_recall_10"]
        assert metrics[split]["new_users"] == 0, "every module has its first imports in train"
    report = chain.context.catalog.load(training.report(), made_by="evaluate")
    html = chain.context.store.read(report.of_role("report")[0].key).decode()
    assert "popularity ndcg 10" in html
    assert "The most popular items" in html

    asked = imports.unseen(tmp_path, tmp_path)
    result = predict_files(chain.context, [asked], tmp_path / "said", text="text", workers=1)
    assert result.counts["labels"] == {"known users": 3, "new users": 1}
    said = {row["user"]: row for row in pq.read_table(tmp_path / "said" / "predictions.parquet").to_pylist()}
    known, new = said["sklearn.svm._base"], said["a.module.of.yours"]
    assert (known["known"], new["known"]) == (True, False)
    assert len(known["items"]) == len(known["scores"]) == 10
    _, model = load_model(chain.context, chain.context.catalog.load(training.model(), made_by="merge"))
    had = {model.known.items[item] for item in model.known.of(model.known.users.index("sklearn.svm._base"))}
    assert had and not had & set(known["items"]), "it has them already"
    assert "numpy" in new["items"], "what is popular"


def test_events_without_a_user_or_an_item_are_rejected_and_too_many_stop_the_night(tmp_path: Path) -> None:
    rows = list(imports.rows())[:400]
    few = [{**row, **({"module": None} if i < 3 else {"name": " "} if i < 8 else {})} for i, row in enumerate(rows)]
    chain = chain_of(tmp_path, few)
    chain.ingest()
    clean = chain.context.catalog.load(f"clean/imports/{DAY}", made_by="dedup")
    assert clean.counts["rejected"] == {"missing": 8}
    (tmp_path / "more").mkdir()
    chain = chain_of(tmp_path / "more", [{**row, **({"name": ""} if i % 8 == 0 else {})} for i, row in enumerate(rows)])
    with pytest.raises(GateFailed, match="faulty_share"):
        chain.ingest()


def test_one_item_is_nothing_to_choose_from(tmp_path: Path) -> None:
    rows = [{"id": str(i), "module": f"m{i % 40}", "name": "numpy"} for i in range(200)]
    chain = chain_of(tmp_path, rows, strategy="hash")
    chain.ingest(gates=False)
    with pytest.raises(BadInput, match="there is nothing to choose from"):
        chain.retrain(gates=False)
