"""What the steps of a training share: ids, rows, stored models, metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt
from tasks.models.tfidf_forest import TfidfForest
from tasks.step import Context, Shard
from tasks.training import Training, load_model, run_id, store_model
from tasks.training.metrics import MAX_SLICES, confusions, metrics_of, slice_metrics
from tasks.training.rows import BATCH_ROWS, Rows
from tasks.training.work import open_training, require_shard

MakeCorpus = Callable[..., Corpus]
MakeContext = Callable[..., Context]
MakeSnapshot = Callable[..., Manifest]


def rows(count: int, labels: str = "ab") -> list[dict[str, Any]]:
    return [{"text": f"text {i} of {labels[i % len(labels)]}", "label": labels[i % len(labels)]} for i in range(count)]


def test_equal_data_parameters_and_code_are_one_run(make_context: MakeContext, make_snapshot: MakeSnapshot) -> None:
    context = make_context()
    first = run_id(context.corpus, make_snapshot(context, train=rows(4)))
    assert first == run_id(context.corpus, make_snapshot(context, train=rows(4)))
    assert len(first) == 16


def test_other_data_parameters_or_code_are_another_run(
    make_context: MakeContext, make_snapshot: MakeSnapshot, make_corpus: MakeCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context()
    snapshot = make_snapshot(context, train=rows(4))
    runs = [
        run_id(context.corpus, snapshot),
        run_id(context.corpus, make_snapshot(context, train=rows(5))),
        run_id(make_corpus(train={"recipe": {"tfidf_forest": {"trees": 7}}}), snapshot),
        run_id(make_corpus(train={"recipe": "tfidf_forest", "seed": 1}), snapshot),
    ]
    monkeypatch.setattr(TfidfForest, "version", 99)
    runs.append(run_id(context.corpus, snapshot))
    assert len(set(runs)) == len(runs)


def test_libraries_that_an_image_lacks_are_named_before_anything_is_trained(
    make_context: MakeContext, make_snapshot: MakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context()
    snapshot = make_snapshot(context, train=[{"text": "x", "label": "a"}])
    monkeypatch.setattr(TfidfForest, "libraries", ("scikit-learn", "no-such-library", "nor-this"))
    said = "recipe tfidf_forest needs no-such-library, nor-this, not installed here: .*kubernetes.trainer_image"
    with pytest.raises(BadInput, match=said):
        Training.of(context.corpus, snapshot)


def test_what_does_not_shape_a_training_leaves_its_run_alone(
    make_context: MakeContext, make_snapshot: MakeSnapshot, make_corpus: MakeCorpus
) -> None:
    snapshot = make_snapshot(make_context(), train=rows(4))
    assert run_id(make_corpus(owner="someone"), snapshot) == run_id(make_corpus(), snapshot)


def test_a_snapshot_is_opened_by_id_or_by_url(make_context: MakeContext, make_snapshot: MakeSnapshot) -> None:
    context = make_context()
    snapshot = make_snapshot(context, id="b" * 16, train=rows(4))
    url = context.catalog.url(f"snapshots/docs/{'b' * 16}")
    assert open_training(context, "b" * 16) == open_training(context, url) == Training.of(context.corpus, snapshot)


def test_a_shard_of_another_count_is_refused_with_the_one_to_give(
    make_context: MakeContext, make_snapshot: MakeSnapshot
) -> None:
    context = make_context()
    training = Training.of(context.corpus, make_snapshot(context, train=rows(4)))
    with pytest.raises(BadInput, match=r"train\.shards = 2 shards, so give --shard 1/2"):
        require_shard(training, Shard(3, 4))


@pytest.mark.parametrize("count", [1, 3, 7])
def test_shards_are_every_nth_row_across_files_and_batches(
    make_context: MakeContext, make_snapshot: MakeSnapshot, count: int
) -> None:
    context = make_context()
    whole = rows(BATCH_ROWS * 2 + 45)
    training = Training.of(context.corpus, make_snapshot(context, files=2, train=whole))
    for index in range(count):
        shard = Rows(context, training, "train", Shard(index, count))
        read = [text for batch in shard for text in batch["text"].to_pylist()]
        assert read == [row["text"] for row in whole[index::count]]
        assert shard.total == len(read)


def test_more_shards_than_rows_leave_some_empty(make_context: MakeContext, make_snapshot: MakeSnapshot) -> None:
    context = make_context()
    training = Training.of(context.corpus, make_snapshot(context, train=rows(2)))
    assert [len(list(Rows(context, training, "train", Shard(i, 4)))) for i in range(4)] == [1, 1, 0, 0]


def test_rows_without_a_label_are_left_out_and_counted(make_context: MakeContext, make_snapshot: MakeSnapshot) -> None:
    context = make_context()
    whole = [*rows(3), {"text": "nobody's", "label": None}]
    reader = Rows(context, Training.of(context.corpus, make_snapshot(context, train=whole)), "train")
    assert sum(batch.num_rows for batch in reader) == 3
    assert reader.unlabelled == 1


def test_another_column_can_be_the_label(
    make_context: MakeContext, make_corpus: MakeCorpus, make_snapshot: MakeSnapshot
) -> None:
    context = make_context(make_corpus(train={"recipe": "tfidf_forest", "label": "language"}))
    reader = Rows(
        context, Training.of(context.corpus, make_snapshot(context, train=rows(2))), "train", columns=("language",)
    )
    assert [batch["label"].to_pylist() for batch in reader] == [["en", "en"]]


def test_a_label_column_that_is_not_there_is_named(
    make_context: MakeContext, make_corpus: MakeCorpus, make_snapshot: MakeSnapshot
) -> None:
    corpus = make_corpus()
    topic = corpus.train.model_copy(update={"label": "topic"})  # a YAML that says so is refused when it is read
    context = make_context(corpus.model_copy(update={"train": topic}))
    training = Training.of(context.corpus, make_snapshot(context, train=rows(2)))
    with pytest.raises(BadInput, match=r"train\.label asks for column topic.*it has: uid, url"):
        list(Rows(context, training, "train"))


def test_an_altered_file_is_not_read(make_context: MakeContext, make_snapshot: MakeSnapshot) -> None:
    context = make_context()
    snapshot = make_snapshot(context, train=rows(20))
    (entry,) = snapshot.of_role("train")
    context.store.write(entry.key, context.store.read(entry.key) + b"!")
    with pytest.raises(Corrupt, match=entry.key):
        list(Rows(context, Training.of(context.corpus, snapshot), "train"))


def test_a_stored_model_loads_by_its_manifest_whatever_the_yaml_says_now(
    make_context: MakeContext, make_corpus: MakeCorpus, make_snapshot: MakeSnapshot
) -> None:
    context = make_context(make_corpus(train={"recipe": {"tfidf_forest": {"trees": 3, "min_df": 1}}}))
    manifest, model = _stored(context, make_snapshot)
    changed = make_context(make_corpus(train={"recipe": {"tfidf_forest": {"analyzer": "char"}}}), store=context.store)
    recipe, loaded = load_model(changed, manifest)
    assert recipe.labels(loaded) == ["a", "b"]
    texts = ["text of a", "of b"]
    np.testing.assert_array_equal(
        recipe.predict(loaded, texts), Training.of(context.corpus, manifest).recipe.predict(model, texts)
    )


def test_an_altered_model_file_is_not_loaded(make_context: MakeContext, make_snapshot: MakeSnapshot) -> None:
    context = make_context()
    manifest, _ = _stored(context, make_snapshot)
    (entry,) = manifest.files
    context.store.write(entry.key, context.store.read(entry.key)[:-1] + b"!")
    with pytest.raises(Corrupt, match=entry.key):
        load_model(context, manifest)


def test_a_model_manifest_cannot_write_outside_its_scratch_folder(
    make_context: MakeContext, make_snapshot: MakeSnapshot, tmp_path: Path
) -> None:
    context = make_context()
    manifest, _ = _stored(context, make_snapshot)
    (sha256,) = manifest.details["files"].values()
    evil = manifest.model_copy(update={"details": {**manifest.details, "files": {f"{tmp_path}/evil": sha256}}})
    with pytest.raises(Corrupt, match="names a file it lacks"):
        load_model(context, evil)
    assert not (tmp_path / "evil").exists()


def test_a_manifest_without_a_model_is_bad_input(make_context: MakeContext, make_snapshot: MakeSnapshot) -> None:
    context = make_context()
    with pytest.raises(BadInput, match="holds no model"):
        load_model(context, make_snapshot(context, train=rows(2)))


def _stored(context: Context, make_snapshot: MakeSnapshot) -> tuple[Manifest, Any]:
    """A model on the store, its manifest made of the snapshot's, and the model itself."""
    snapshot = make_snapshot(context, train=rows(20))
    training = Training.of(context.corpus, snapshot)
    recipe = training.recipe
    features = recipe.combine([recipe.count(iter(Rows(context, training, "train")))], 20)
    model = recipe.fit(iter(Rows(context, training, "train")), features, Shard())  # type: ignore[attr-defined]
    files, details = store_model(context, training, training.model(), model)
    return snapshot.model_copy(update={"step": "merge", "files": tuple(files), "details": details}), model


LABELS = st.sampled_from("abcd")


@settings(max_examples=80)
@given(pairs=st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=60))
def test_metrics_are_those_of_scikit_learn_over_the_labels_that_occur(pairs: list[tuple[str, str]]) -> None:
    true, guess = zip(*pairs, strict=True)
    present = sorted(set(true))
    metrics = metrics_of(Counter(pairs))
    assert metrics["rows"] == len(pairs)
    assert metrics["accuracy"] == pytest.approx(accuracy_score(true, guess))
    assert metrics["macro_f1"] == pytest.approx(f1_score(true, guess, labels=present, average="macro", zero_division=0))
    expected = precision_recall_fscore_support(true, guess, labels=present, zero_division=0)
    for i, label in enumerate(present):
        got = metrics["per_class"][label]
        assert [got[k] for k in ("precision", "recall", "f1", "support")] == pytest.approx([e[i] for e in expected])
    assert list(metrics["per_class"]) == present
    assert metrics["majority"] == max(Counter(true).values()) / len(true)


def test_metrics_of_no_rows_are_none_not_zero() -> None:
    assert metrics_of(Counter()) == {"rows": 0, "accuracy": None, "macro_f1": None, "majority": None, "per_class": {}}


def test_the_rarest_slices_become_one() -> None:
    slices = {f"host{i:03d}": Counter({("a", "a"): 100 - i}) for i in range(MAX_SLICES + 10)}
    metrics = slice_metrics(slices)
    assert len(metrics) == MAX_SLICES + 1
    assert metrics["(other)"]["rows"] == sum(100 - i for i in range(MAX_SLICES, MAX_SLICES + 10))
    assert next(iter(metrics)) == "host000"


def test_errors_are_ranked_by_rows_then_by_label() -> None:
    pairs = Counter({("a", "a"): 9, ("b", "a"): 2, ("a", "c"): 2, ("c", "a"): 3})
    assert confusions(pairs) == [("c", "a", 3), ("a", "c", 2), ("b", "a", 2)]
