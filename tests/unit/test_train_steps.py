"""prepare, combine and train over a committed snapshot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.catalog import Manifest
from tasks.combine import combine
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt, Quarantined
from tasks.evaluate import evaluate_part
from tasks.merge import merge
from tasks.prepare import prepare
from tasks.step import Context, Shard
from tasks.train import train
from tasks.training import Training, load_model
from tasks.training.apart import judged

MakeCorpus = Callable[..., Corpus]
MakeContext = Callable[..., Context]
Start = Callable[..., tuple[Context, Training]]


def rows(count: int, labels: str = "ab") -> list[dict[str, Any]]:
    return [
        {
            "text": f"common words {labels[i % len(labels)]}{labels[i % len(labels)]} w{i % 7}x",
            "label": labels[i % len(labels)],
        }
        for i in range(count)
    ]


@pytest.fixture
def start(make_context: MakeContext, make_corpus: MakeCorpus, make_snapshot: Callable[..., Manifest]) -> Start:
    """``start(train=[…], validation=[…], shards=2, **recipe parameters)``: a context and its training."""

    def begin(
        train: list[dict[str, Any]], validation: list[dict[str, Any]] | None = None, shards: int = 2, **params: Any
    ) -> tuple[Context, Training]:
        recipe = {"tfidf_forest": {"trees": 6, **params}}
        context = make_context(make_corpus(train={"recipe": recipe, "shards": shards}))
        snapshot = make_snapshot(context, train=train, validation=rows(4) if validation is None else validation)
        return context, Training.of(context.corpus, snapshot)

    return begin


def prepared(context: Context, training: Training) -> None:
    for shard in training.shards:
        prepare(context, training, shard)


def test_a_shard_is_counted_with_its_labels(start: Start) -> None:
    context, training = start([*rows(9, "aab"), {"text": "nobody's", "label": None}])
    result = prepare(context, training, Shard(0, 2))
    assert result.counts == {"rows": 5, "unlabelled": 0, "terms": 9, "labels": {"a": 3, "b": 2}}
    assert prepare(context, training, Shard(1, 2)).counts["unlabelled"] == 1
    assert result.manifest.endswith(f"features/docs/{training.run}/shards/0-of-2/_manifest.json")


def test_features_are_the_same_file_whatever_the_sharding(start: Start) -> None:
    digests = set()
    for shards in (1, 2, 5):
        context, training = start(rows(23, "abc"), shards=shards)
        prepared(context, training)
        combine(context, training)
        manifest = context.catalog.load(training.features(), made_by="combine")
        digests.add(manifest.files[0].sha256)
        assert manifest.counts["labels"] == {"a": 8, "b": 8, "c": 7}
        assert manifest.counts["rows"] == 23
        assert manifest.counts["vocabulary"] == manifest.files[0].rows > 0
    assert len(digests) == 1


def test_done_again_every_step_is_a_no_op_that_says_so(start: Start) -> None:
    context, training = start(rows(12))
    for _ in range(2):
        results = [prepare(context, training, shard) for shard in training.shards]
        results.append(combine(context, training))
        results += [train(context, training, shard) for shard in training.shards]
    assert all(result.noop and "nothing changed" in result.message for result in results)


def test_a_deleted_part_is_made_anew_with_the_same_bytes(start: Start) -> None:
    context, training = start(rows(12))
    prepared(context, training)
    combine(context, training)
    train(context, training, Shard(0, 2))
    before = context.catalog.load(training.model(Shard(0, 2)), made_by="train")
    context.store.delete(before.files[0].key)
    assert not train(context, training, Shard(0, 2)).noop
    assert context.catalog.load(training.model(Shard(0, 2)), made_by="train").digest() == before.digest()


def test_an_altered_input_byte_voids_the_no_op_and_names_the_file(start: Start) -> None:
    context, training = start(rows(12))
    prepared(context, training)
    combine(context, training)
    train(context, training, Shard(0, 2))
    (features,) = context.catalog.load(training.features(), made_by="combine").files
    context.store.write(features.key, context.store.read(features.key)[:-1] + b"!")
    with pytest.raises(Corrupt, match=rf"{features.key}.*nightshift combine"):
        train(context, training, Shard(0, 2))


def test_a_missing_shard_is_named_with_the_command_that_makes_it(start: Start) -> None:
    context, training = start(rows(12))
    prepare(context, training, Shard(0, 2))
    with pytest.raises(BadInput, match=rf"prepare --snapshot {training.snapshot_id} --shard 1/2"):
        combine(context, training)


def test_quarantined_features_are_not_trained_on(start: Start) -> None:
    context, training = start(rows(12))
    prepared(context, training)
    combine(context, training)
    features = context.catalog.load(training.features(), made_by="combine")
    context.catalog.quarantine.put(features, stage="features", failures=["too few rows"], at="now")
    with pytest.raises(Quarantined, match="too few rows"):
        train(context, training, Shard(0, 2))


@pytest.mark.parametrize(
    ("train_rows", "said"),
    [
        ([], "has no rows with a label"),
        ([{"text": "some words", "label": None}] * 3, r"has no rows with a label \(3 without\)"),
        (rows(8, "a"), "has one label only, 'a'"),
        ([{"text": "abcdefgh"[i] * 4, "label": "ab"[i % 2]} for i in range(8)], "none of the 8 terms.*lower min_df"),
        ([{"text": "?! -", "label": "ab"[i % 2]} for i in range(8)], "vocabulary.*is empty"),
    ],
)
def test_what_nothing_can_be_learned_from_is_bad_input(
    start: Start, train_rows: list[dict[str, Any]], said: str
) -> None:
    context, training = start(train_rows)
    prepared(context, training)
    with pytest.raises(BadInput, match=said):
        combine(context, training)


def test_an_empty_validation_split_is_bad_input_before_anything_is_trained(start: Start) -> None:
    context, training = start(rows(12), validation=[])
    prepared(context, training)
    with pytest.raises(BadInput, match=r"validation split .* is empty.*raise split\.ratios\.validation \(0\.1\)"):
        combine(context, training)


def test_a_shard_without_rows_makes_an_empty_part(start: Start) -> None:
    context, training = start(rows(4), shards=5, min_df=1)
    prepared(context, training)
    combine(context, training)
    result = train(context, training, Shard(4, 5))
    assert result.counts == {"rows": 0, "labels": {}}
    assert "empty part" in result.message
    assert context.catalog.load(training.model(Shard(4, 5)), made_by="train").files == ()
    assert train(context, training, Shard(4, 5)).noop


def test_a_part_knows_only_the_classes_of_its_shard(start: Start) -> None:
    context, training = start(rows(12, "ab"))
    prepared(context, training)
    combine(context, training)
    assert train(context, training, Shard(1, 2)).counts["labels"] == {"b": 6}
    recipe, model = load_model(context, context.catalog.load(training.model(Shard(1, 2)), made_by="train"))
    assert recipe.labels(model) == ["b"]


def test_prepare_and_combine_do_not_load_scikit_learn(tmp_path: Any) -> None:
    import subprocess
    import sys

    code = (
        "import sys, pyarrow as pa; from tasks.models.tfidf_forest import TfidfForest as F, TfidfForestParams as P;"
        "import tasks.prepare, tasks.combine; f = F(P(), 0);"
        "f.combine([f.count(iter([pa.table({'text': ['aa bb', 'aa'], 'label': ['a', 'b']})]))], 2);"
        "print([m for m in ('sklearn', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"


def test_counts_are_readable_parquet_sorted_by_term(start: Start, tmp_path: Any) -> None:
    context, training = start(rows(6))
    prepare(context, training, Shard(0, 2))
    (entry,) = context.catalog.load(training.features(Shard(0, 2)), made_by="prepare").of_role("counts")
    table = pq.read_table(context.catalog.fetch(entry, tmp_path / "counts.parquet"))
    terms = table["term"].to_pylist()
    assert terms == sorted(terms)
    assert table["documents"].to_pylist()[terms.index("common")] == 3


def test_rounds_go_on_from_the_sum_of_all_shards(
    make_context: MakeContext, make_corpus: MakeCorpus, make_snapshot: Callable[..., Manifest]
) -> None:
    texts = rows(23, "abc")

    def begin(shards: int) -> tuple[Context, Training]:
        recipe = {"kmeans": {"clusters": 3, "min_df": 1, "dimensions": 3, "sample": 10, "rounds": 4}}
        context = make_context(make_corpus(train={"recipe": recipe, "shards": shards}))
        training = Training.of(context.corpus, make_snapshot(context, train=texts, validation=rows(9, "abc")))
        prepared(context, training)
        combine(context, training)
        return context, training

    context, training = begin(3)
    assert training.rounds == 4
    with pytest.raises(BadInput, match=rf"train --snapshot {training.snapshot_id} --shard 0/3 --round 2"):
        train(context, training, Shard(0, 3))
    for number in range(4):
        results = [train(context, training, shard, number) for shard in training.shards]
    assert results[0].message == "round 4 of 4"
    assert results[2].manifest.endswith(f"models/docs/{training.run}/parts/2-of-3/_manifest.json")
    assert all(train(context, training, shard, n).noop for n in range(4) for shard in training.shards)
    for shard in training.shards:
        evaluate_part(context, training, shard)
    merge(context, training)
    recipe, mine = load_model(context, context.catalog.load(training.model(), made_by="merge"))
    context, alone = begin(1)
    assert alone.rounds == 1
    train(context, alone, Shard())
    _, whole = load_model(context, context.catalog.load(alone.model(Shard()), made_by="train"))
    np.testing.assert_allclose(mine.centres, whole.centres, rtol=1e-9, atol=1e-12)
    assert recipe.facts(mine) == recipe.facts(whole)

    # What one shard brought is made anew with the same bytes: nothing after it is done again.
    context, training = begin(3)
    lost = context.catalog.load(training.round(1, Shard(1, 3)), made_by="train")
    context.store.delete(lost.files[0].key)
    assert not train(context, training, Shard(1, 3), 1).noop
    assert train(context, training, Shard(0, 3), 2).noop


def test_shards_without_rows_bring_nothing_to_a_round(
    make_context: MakeContext, make_corpus: MakeCorpus, make_snapshot: Callable[..., Manifest]
) -> None:
    recipe = {"gaussian_mixture": {"clusters": 2, "min_df": 1, "dimensions": 2, "sample": 10, "rounds": 2}}
    context = make_context(make_corpus(train={"recipe": recipe, "shards": 30}))
    training = Training.of(context.corpus, make_snapshot(context, train=rows(23), validation=rows(4)))
    prepared(context, training)
    combine(context, training)
    for number in range(2):
        counts = [train(context, training, shard, number).counts["rows"] for shard in training.shards]
        assert counts == [1] * 23 + [0] * 7
    # As a fold or a trial does it, every step of it.
    assert judged(context, training, "")["rows"] == 4
    merged = context.catalog.load(training.model(), made_by="merge")
    assert (merged.counts["chosen"], merged.counts["empty_parts"], merged.counts["rows"]) == ("sum", 7, 23)
