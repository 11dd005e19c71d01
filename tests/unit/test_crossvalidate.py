"""Folds of the train split, what is measured on them, and where it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.crossvalidate import crossvalidate, folds, summary
from tasks.errors import BadInput
from tasks.evaluate import evaluate
from tasks.merge import merge
from tasks.step import Context, Shard
from tasks.training import Training
from tasks.training.apart import apart
from tasks.training.folds import fold_snapshot
from tests.unit.test_evaluate_merge import fit, rows

K = 3
Start = Callable[..., tuple[Context, Training]]


@pytest.fixture
def start(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], make_snapshot: Callable[..., Manifest]
) -> Start:
    """``start(train=…, folds=3, **sections)``: a context and its training."""

    def begin(train: list[dict[str, Any]] | None = None, folds: int = K, **sections: Any) -> tuple[Context, Training]:
        recipe = {"recipe": {"tfidf_forest": {"trees": 8}}, "shards": 2}
        context = make_context(make_corpus(train=recipe, crossvalidate={"folds": folds}, **sections))
        data = {"train": rows(60) if train is None else train, "validation": rows(24, seed=1), "test": rows(20, seed=2)}
        return context, Training.of(context.corpus, make_snapshot(context, files=2, **data))

    return begin


def uids(context: Context, manifest: Manifest, split: str, tmp_path: Any, column: str = "uid") -> list[str]:
    (entry,) = manifest.of_role(split)
    return [str(each) for each in pq.read_table(context.catalog.fetch(entry, tmp_path / "rows"))[column].to_pylist()]


def test_every_row_is_judged_once_and_never_by_a_model_that_saw_it(start: Start, tmp_path: Any) -> None:
    context, training = start()
    judged: Counter[str] = Counter()
    for fold in (Shard(i, K) for i in range(K)):
        with apart(context) as there:
            made = fold_snapshot(context, training, fold, there)
            held_out, seen = (uids(there, made, split, tmp_path) for split in ("validation", "train"))
            labels = Counter(uids(there, made, "validation", tmp_path, "label"))
        assert not set(held_out) & set(seen)
        assert len(held_out) + len(seen) == 60
        assert max(labels.values()) - min(labels.values()) <= 6, "each label is spread over all folds"
        judged.update(held_out)
    assert set(judged.values()) == {1}
    assert len(judged) == 60


def test_a_group_is_in_one_fold(start: Start, tmp_path: Any) -> None:
    grouped = [{**row, "group": f"host{i % 7}"} for i, row in enumerate(rows(60))]
    context, training = start(grouped, split={"strategy": "group"})
    seen: Counter[str] = Counter()
    for fold in (Shard(i, K) for i in range(K)):
        with apart(context) as there:
            made = fold_snapshot(context, training, fold, there)
            seen.update(set(uids(there, made, "validation", tmp_path, "group")))
    assert seen == {f"host{i}": 1 for i in range(7)}


def test_a_fold_is_measured_from_the_train_split_alone(start: Start) -> None:
    context, training = start()
    for split in ("validation", "test"):
        for entry in training.snapshot.of_role(split):
            context.store.write(entry.key, b"unreadable")
    results = [measure(context, training, Shard(i, K)) for i in range(K)]
    assert sum(each["rows"] for each in results) == 60
    assert all(each["macro_f1"] > 0.7 for each in results), "labels show in the words"


def measure(context: Context, training: Training, fold: Shard) -> Any:
    """One fold's metrics, without the check of inputs, which reads the other splits too."""
    from tasks.training.apart import judged

    with apart(context) as there:
        return judged(there, Training.of(there.corpus, fold_snapshot(context, training, fold, there)), "docs")


def test_a_fold_leaves_its_numbers_alone_and_is_a_no_op_then(start: Start) -> None:
    context, training = start()
    before = {info.key for info in context.store.list("")}
    first = crossvalidate(context, training, Shard(1, K), "docs")
    assert first.counts["rows"] == 20
    assert first.counts["macro_f1"] > 0.7
    new = {info.key for info in context.store.list("")} - before
    assert {key.rpartition("folds/")[0] for key in new} == {f"reports/docs/{training.run}/"}
    again = crossvalidate(context, training, Shard(1, K), "docs")
    assert again.noop
    assert again.counts == first.counts


@pytest.mark.parametrize(
    ("fold", "given", "says"),
    [
        (Shard(0, 4), {}, "--fold 0/4: crossvalidate.folds of corpus docs is 3"),
        (Shard(0, 3), {"train": [{"text": "words", "label": None}] * 9}, "has no rows with a label"),
        (Shard(0, 3), {"train": []}, "train split of snapshot a+ .docs. has no rows"),
        (Shard(0, 80), {"folds": 80}, "crossvalidate.folds is 80, but the train split .* has 60 rows"),
    ],
)
def test_folds_that_cannot_be_are_bad_input(start: Start, fold: Shard, given: dict[str, Any], says: str) -> None:
    context, training = start(**given)
    with pytest.raises(BadInput, match=says):
        crossvalidate(context, training, fold, "docs")


def test_mean_and_deviation_are_in_the_report_once_every_fold_is_measured(start: Start) -> None:
    context, training = start()
    fit(context, training)
    merge(context, training)
    with pytest.raises(BadInput, match=r"crossvalidate --snapshot a{16} --fold 0/3"):
        evaluate(context, training, datetime(2026, 11, 21, tzinfo=UTC))
    for i in range(K):
        crossvalidate(context, training, Shard(i, K), "docs")
    evaluate(context, training, datetime(2026, 11, 21, tzinfo=UTC))
    report = context.catalog.load(training.report(), made_by="evaluate")
    told = report.details["folds"]
    assert told == summary(folds(context, training))
    f1 = told["measures"]["macro_f1"]
    assert f1["mean"] == pytest.approx(np.mean(f1["values"]))
    assert f1["deviation"] == pytest.approx(np.std(f1["values"], ddof=1))
    html = context.store.read(report.of_role("report")[0].key).decode()
    assert "Cross-validation" in html
    assert f"{f1['mean']:.3f}" in html
