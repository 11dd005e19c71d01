"""Summaries through the whole chain, on two workers: which sentence of a docstring says what its first line says?"""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from statistics import fmean

import pyarrow.parquet as pq
import pytest

from containers.embedded.data import summaries
from tasks.config import yaml12
from tasks.errors import GateFailed
from tasks.models._rouge import scores
from tasks.predict import predict_files
from tasks.training import Training
from tests.chain import DAY, Chain

pytestmark = pytest.mark.integration

CORPORA = Path(__file__).parents[2] / "dags" / "corpora"


def chain_of(folder: Path, rows: list[dict[str, str]]) -> Chain:
    """The demo's own corpus over these rows."""
    (folder / "docstrings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    corpus = yaml12.parse((CORPORA / "summaries.yaml").read_text())
    corpus["source"]["live"]["files"]["path"] = str(folder / "docstrings.jsonl")
    corpus["gates"] |= {"raw": {}, "clean": {}}
    return Chain(folder, corpus)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return list(itertools.islice(summaries.rows(), 400))


def by_chance(chain: Chain, training: Training) -> float:
    """ROUGE-1 of one sentence of each text of the validation split, whichever."""
    found = [
        fmean(scores(row["summary"], [sentence])["rouge_1"] for sentence in row["sentences"])
        for entry in training.snapshot.of_role("validation")
        for row in pq.read_table(io.BytesIO(chain.context.store.read(entry.key))).to_pylist()
    ]
    return fmean(found)


def test_a_champion_on_two_workers_chooses_sentences_also_of_a_text_file(
    rows: list[dict[str, str]], tmp_path: Path
) -> None:
    chain = chain_of(tmp_path, rows)
    chain.ingest()
    training = chain.retrain()
    part = chain.context.catalog.load(training.model(training.parts[0]), made_by="train")
    assert part.volatile["workers"] == 2
    metrics = chain.metrics(training)["validation"]
    assert metrics["rouge_1"] > by_chance(chain, training) + 0.02, "better than any sentence"
    assert metrics["rouge_1"] > metrics["lead_rouge_1"] - 0.01, "as good as the first, which is hard to beat"
    assert metrics["oracle_rouge_1"] > metrics["rouge_1"]
    report = chain.context.catalog.load(training.report(), made_by="evaluate")
    assert "lead rouge 1" in chain.context.store.read(report.of_role("report")[0].key).decode()

    asked = summaries.unseen(tmp_path, tmp_path)
    (tmp_path / "chinese.txt").write_text("我们昨天去了公园。这个函数返回一个新的列表。天气很好。")
    predict_files(chain.context, [asked, tmp_path / "chinese.txt"], tmp_path / "said", text="text", workers=1)
    said = pq.read_table(tmp_path / "said" / "predictions.parquet").to_pylist()
    assert len(said) == 2
    assert all(len(row["places"]) == 1 and row["summary"] for row in said)
    assert len(said[1]["probabilities"]) == 3, "Chinese is cut into sentences, too"


def test_rows_without_a_summary_are_rejected_and_too_many_stop_the_night(
    rows: list[dict[str, str]], tmp_path: Path
) -> None:
    chain = chain_of(tmp_path, [{**row, **({"summary": ""} if i % 9 == 0 else {})} for i, row in enumerate(rows[:180])])
    with pytest.raises(GateFailed, match="faulty_share"):
        chain.ingest()
    clean = chain.context.catalog.current(f"clean/summaries/{DAY}")
    assert clean is not None
    assert clean.counts["rejected"]["missing"] == 20
