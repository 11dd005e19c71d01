"""Rows again, or left out, by label: as many of each, the same whatever the sharding, and of the train split alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.catalog import Manifest
from tasks.combine import combine
from tasks.config import Corpus
from tasks.encode import encode
from tasks.errors import BadInput
from tasks.models._resampling import FEWEST, Resampling, resampled
from tasks.models.naive_bayes import NaiveBayes, NaiveBayesParams
from tasks.prepare import prepare
from tasks.step import Context, Shard
from tasks.training import Training

LABELS = ["a"] * 900 + ["b"] * 80 + ["c"] * 11
ROWS = dict(Counter(LABELS))


def table() -> pa.Table:
    return pa.table({"uid": [f"u{i}" for i in range(len(LABELS))], "label": LABELS})


def uids(batches: list[pa.Table], way: Resampling, seed: int = 0) -> list[str]:
    return sorted(uid for batch in resampled(batches, ROWS, way, seed) for uid in batch["uid"].to_pylist())


@pytest.mark.parametrize(("way", "level", "near"), [("oversample", 900, 60), ("undersample", 11, 9)])
def test_there_are_about_as_many_rows_of_each_label(way: Resampling, level: int, near: int) -> None:
    after = pa.concat_tables(resampled([table()], ROWS, way, 0))
    counts = Counter(after["label"].to_pylist())
    assert set(counts) == {"a", "b", "c"}
    assert all(abs(count - level) < near for count in counts.values()), counts
    if way == "oversample":
        assert set(after["uid"].to_pylist()) == set(table()["uid"].to_pylist()), "none is lost"
        assert counts["a"] == 900, "the commonest stays as it is"
    else:
        assert len(set(after["uid"].to_pylist())) == after.num_rows, "none is there twice"
        assert counts["c"] == 11, "the rarest stays as it is"


@pytest.mark.parametrize(
    ("way", "level", "deviation"), [("oversample", 390, FEWEST**0.5 / 2), ("undersample", FEWEST, FEWEST**0.5)]
)
def test_labels_differ_by_chance_no_more_than_the_page_on_strategies_says_and_none_is_lost(
    way: Resampling, level: int, deviation: float
) -> None:
    rare = 20 if way == "oversample" else 1
    labels = [f"{i}" for i in range(20) for _ in range(390 if i >= rare else FEWEST)] + ["c"] * level
    whole = pa.table({"uid": [f"u{i}" for i in range(len(labels))], "label": labels})
    found = []
    for seed in range(20):
        batches = resampled([whole], Counter(labels), way, seed)
        counts = Counter(label for batch in batches for label in batch["label"].to_pylist())
        assert counts["c"] == level, "to which the others are sampled"
        found += [counts[f"{i}"] for i in range(20)]
    assert min(found) > 0
    assert abs(np.mean(found) - level) < deviation / 4
    assert deviation * 0.8 < np.std(found) < deviation * 1.1


def test_no_more_rows_are_held_at_a_time_than_came_however_rare_the_label() -> None:
    rare = pa.table({"uid": [f"r{i}" for i in range(256)], "label": ["rare"] * 256})
    sizes, seen = [], Counter[str]()
    for batch in resampled([rare.slice(0, 0), rare], {"rare": 256, "common": 256_100}, "oversample", 0):
        sizes.append(batch.num_rows)
        seen.update(batch["uid"].to_pylist())
    assert max(sizes) == 256
    assert min(sizes) > 0
    assert len(seen) == 256
    assert set(seen.values()) == {1000, 1001}


@pytest.mark.parametrize("way", ["oversample", "undersample"])
def test_what_stays_of_a_row_is_the_same_whatever_the_sharding_and_another_seeds_is_other(way: Resampling) -> None:
    whole = table()
    shards = [whole.take(list(range(i, whole.num_rows, 3))) for i in (2, 0, 1)]
    assert uids(shards, way) == uids([whole], way)
    assert uids([whole], way, seed=1) != uids([whole], way)


def test_without_a_way_or_with_labels_that_are_unknown_rows_stay_as_they_are() -> None:
    assert next(resampled([table()], ROWS, None, 0)).equals(table())
    strange = pa.table({"uid": ["x", "y"], "label": ["z", "z"]})
    assert next(resampled([strange], ROWS, "undersample", 0)).equals(strange)
    assert next(resampled([table()], {"a": 900}, "oversample", 0)).equals(table()), "one label has no other to equal"


def test_examples_of_the_train_split_are_as_many_of_each_label_and_validation_is_as_it_was(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], make_snapshot: Callable[..., Manifest]
) -> None:
    def rows(count: int, where: str) -> list[dict[str, Any]]:
        labels = ["rare" if i % 20 == 0 else "common" for i in range(count)]
        return [{"text": f"{label} words here", "label": label, "url": f"{where}{i}"} for i, label in enumerate(labels)]

    recipe = {"logistic": {"imbalance": "oversample"}}
    context = make_context(make_corpus(train={"recipe": recipe, "shards": 2}))
    training = Training.of(context.corpus, make_snapshot(context, train=rows(200, "t"), validation=rows(40, "v")))
    for shard in training.shards:
        prepare(context, training, shard)
    combine(context, training)
    labels: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for shard in training.shards:
        counts.update({name: int(n) for name, n in encode(context, training, shard).counts.items()})
        manifest = context.catalog.load(training.examples(shard), made_by="encode")
        labels.update(manifest.details["labels"])
    assert labels == {"0": 190, "1": 190}
    assert counts == {"rows": 380, "validation": 40, "unlabelled": 0, "unseen": 0}


@pytest.mark.parametrize("name", ["naive_bayes", "decision_tree", "tfidf_forest", "logistic"])
def test_under_sampling_to_too_few_rows_is_bad_input_of_every_recipe_before_anything_is_trained(
    name: str,
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    make_snapshot: Callable[..., Manifest],
) -> None:
    def combined(rarest: int, way: Resampling) -> dict[str, int]:
        labels = ["common"] * 60 + ["rare"] * rarest + ["seldom"] * 30
        rows = [{"text": f"{label} words here", "label": label} for label in labels]
        context = make_context(make_corpus(train={"recipe": {name: {"imbalance": way}}, "shards": 3}))
        training = Training.of(context.corpus, make_snapshot(context, train=rows, validation=rows[:4]))
        for shard in training.shards:
            prepare(context, training, shard)
        counts: dict[str, int] = combine(context, training).counts["labels"]
        return counts

    said = rf"has {FEWEST - 1} rows labelled 'rare'.*{name}\.imbalance: undersample.* {FEWEST}: take oversample"
    with pytest.raises(BadInput, match=said):
        combined(FEWEST - 1, "undersample")
    assert combined(FEWEST, "undersample")["rare"] == FEWEST
    assert combined(2, "oversample")["rare"] == 2


def test_a_shard_that_is_left_without_a_row_says_what_to_do() -> None:
    made = NaiveBayes(NaiveBayesParams(imbalance="undersample", min_df=1), 0)
    labels = ["a"] * 400 + ["b"] * FEWEST
    rows = pa.table({"uid": [f"u{i}" for i in range(420)], "text": ["word"] * 420, "label": labels})
    features = made.combine([made.count(iter([rows]))], 420)
    with pytest.raises(BadInput, match=r"undersample leaves shard 1/210 no row, since a label has only 20 of them"):
        made.fit(iter([rows.slice(0, 2)]), features, Shard(1, 210))
