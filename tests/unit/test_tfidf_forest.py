"""The recipe alone: terms, features, trees, files."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from tasks.errors import BadInput, Corrupt
from tasks.models import _skops
from tasks.models._terms import Analysis
from tasks.models._words import _RUN, marks
from tasks.models.tfidf_forest import TfidfForest, TfidfForestModel, TfidfForestParams
from tasks.step import Shard

WORDS = [f"{a}{b}" for a in ("al", "be", "ga", "de", "ep") for b in ("pha", "ta", "mma", "lta", "silon", "x")]
TEXTS = [
    "The quick brown fox, the lazy dog; x y zz.",
    "Größe ÉTÉ naïve İstanbul ΣΊΣΥΦΟΣ 42 a_b __init__ 3.14",
    "tabs\tand\nnew  lines\u00a0and nbsp",
    "a",
    "",
]


def table(rows: list[tuple[str, str]]) -> pa.Table:
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    return pa.table({"uid": [str(i) for i in range(len(rows))], "text": texts, "label": labels})


def batches(rows: list[tuple[str, str]], size: int = 7) -> Iterator[pa.Table]:
    return (table(rows[i : i + size]) for i in range(0, len(rows), size))


def topics(count: int, labels: str = "abc", seed: int = 0) -> list[tuple[str, str]]:
    """Rows whose label shows in a few of their words."""
    chance = random.Random(seed)
    rows = []
    for i in range(count):
        label = labels[i % len(labels)]
        words = [*chance.choices(WORDS, k=12), *chance.choices([f"{label}one", f"{label}two"], k=2)]
        chance.shuffle(words)
        rows.append((" ".join(words), label))
    return rows


def recipe(seed: int = 0, **params: Any) -> TfidfForest:
    return TfidfForest(TfidfForestParams(**{"trees": 12, **params}), seed)


def features_of(forest: TfidfForest, rows: list[tuple[str, str]]) -> pa.Table:
    return forest.combine([forest.count(batches(rows))], len(rows))


def fitted(forest: TfidfForest, rows: list[tuple[str, str]], shard: Shard | None = None) -> TfidfForestModel:
    return forest.fit(batches(rows), features_of(forest, rows), shard or Shard())


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize(("analyzer", "theirs"), [("word", "word"), ("char", "char_wb")])
@settings(max_examples=40)
@given(text=st.one_of(st.sampled_from(TEXTS), st.text(max_size=60)))
def test_terms_are_those_of_scikit_learn(analyzer: str, theirs: str, ngrams: tuple[int, int], text: str) -> None:
    # Words of scripts without spaces, and those with marks, are ours alone.
    assume(analyzer == "char" or not (_RUN.search(text) or marks()[0].search(text)))
    expected = CountVectorizer(analyzer=theirs, ngram_range=ngrams).build_analyzer()(text)
    assert sorted(Analysis(analyzer, ngrams).terms(text)) == sorted(expected)


def test_a_compound_counts_as_its_parts_too_but_in_no_pair_of_words() -> None:
    text = "from readCsvFile import os_path"
    parts = ["from", "readcsvfile", "read", "csv", "file", "import", "os_path", "os", "path"]
    pairs = ["from readcsvfile", "readcsvfile import", "import os_path"]
    assert Analysis(parts=True).terms(text) == parts
    assert sorted(Analysis(ngrams=(1, 2), parts=True).terms(text)) == sorted(parts + pairs)
    assert Analysis(ngrams=(2, 2), parts=True).terms(text) == pairs


def test_a_forest_of_before_compounds_had_parts_reads_as_it_learned() -> None:
    stored = {name: value for name, value in TfidfForestParams().model_dump().items() if name != "parts"}
    assert TfidfForestParams.model_validate({**TfidfForest.before, **stored}).parts is False
    assert TfidfForestParams(parts=False).model_dump()["parts"] is False, "or it would be read as the default"


@pytest.mark.parametrize("sublinear", [False, True])
def test_features_and_weights_are_those_of_tfidf_vectorizer(sublinear: bool) -> None:
    rows = topics(50)
    texts = [text for text, _ in rows]
    theirs = TfidfVectorizer(min_df=3, sublinear_tf=sublinear).fit(texts)
    forest = recipe(min_df=3, sublinear_tf=sublinear)
    features = features_of(forest, rows)
    assert features["term"].to_pylist() == list(theirs.get_feature_names_out())
    np.testing.assert_allclose(features["idf"].to_numpy(), theirs.idf_)
    ours = forest._tfidf.matrix(texts, features["term"].to_pylist(), features["idf"].to_numpy())
    np.testing.assert_allclose(ours.toarray(), theirs.transform(texts).toarray(), atol=1e-6)


@settings(max_examples=60)
@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), min_size=1, max_size=30),
    shards=st.integers(1, 6),
    vocabulary=st.integers(1, 12),
    order=st.randoms(use_true_random=False),
)
def test_features_are_the_same_whatever_the_sharding(
    texts: list[str], shards: int, vocabulary: int, order: random.Random
) -> None:
    forest = recipe(max_vocabulary=vocabulary, min_df=1, max_df=0.9)
    rows = [(text, "a") for text in texts]
    whole = forest.combine([forest.count(batches(rows))], len(rows))
    counts = [forest.count(batches(rows[i::shards])) for i in range(shards)]
    order.shuffle(counts)
    assert forest.combine(counts, len(rows)).equals(whole)


def test_equally_frequent_terms_enter_the_vocabulary_in_the_order_of_the_alphabet() -> None:
    rows = [("zulu alfa mike", "a"), ("zulu alfa mike kilo", "b")]
    assert features_of(recipe(max_vocabulary=2, min_df=1), rows)["term"].to_pylist() == ["alfa", "mike"]


def test_the_trees_are_shared_out_over_the_shards() -> None:
    rows = topics(30)
    forest = recipe(trees=7)
    parts = [fitted(forest, rows, Shard(i, 3)) for i in range(3)]
    assert [forest.facts(part)["trees"] for part in parts] == [3, 2, 2]
    assert forest.facts(forest.merge(parts, [1 / 3] * 3))["trees"] == 7


def test_more_shards_than_trees_are_refused() -> None:
    with pytest.raises(BadInput, match=r"trees is 2, fewer than train.shards \(3\)"):
        fitted(recipe(trees=2), topics(10), Shard(0, 3))


def test_a_union_predicts_the_mean_of_all_trees_with_classes_aligned() -> None:
    forest = recipe(trees=5)
    rows = topics(60, "abc")
    features = features_of(forest, rows)
    without_a = [row for row in rows[0::2] if row[1] != "a"]
    without_c = [row for row in rows[1::2] if row[1] != "c"]
    parts = [
        forest.fit(batches(without_a), features, Shard(0, 2)),
        forest.fit(batches(without_c), features, Shard(1, 2)),
    ]
    assert [forest.labels(part) for part in parts] == [["b", "c"], ["a", "b"]]
    union = forest.merge(parts, [0.5, 0.5])
    assert forest.labels(union) == ["a", "b", "c"]

    texts = [text for text, _ in topics(20, seed=9)]
    votes = np.zeros((len(texts), 3))
    for part in parts:
        rows = forest._tfidf.matrix(texts, list(part.vocabulary), part.idf)
        columns = ["abc".index(label) for label in forest.labels(part)]
        for tree in part.forest.estimators_:
            votes[:, columns] += tree.predict_proba(rows)
    np.testing.assert_allclose(forest.predict(union, texts), votes / 5, atol=1e-12)


def test_a_union_of_equal_parts_averages_their_probabilities() -> None:
    forest = recipe(trees=8)
    rows = topics(60)
    parts = [forest.fit(batches(rows[i::2]), features_of(forest, rows), Shard(i, 2)) for i in range(2)]
    texts = [text for text, _ in topics(20, seed=9)]
    mean = (forest.predict(parts[0], texts) + forest.predict(parts[1], texts)) / 2
    np.testing.assert_allclose(forest.predict(forest.merge(parts, [0.5, 0.5]), texts), mean, atol=1e-12)


def test_parts_with_different_vocabularies_are_not_merged() -> None:
    forest = recipe()
    with pytest.raises(BadInput, match="different vocabularies"):
        forest.merge([fitted(forest, topics(30)), fitted(forest, topics(30, "xyz"))], [0.5, 0.5])


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"class_weight": "balanced", "max_depth": 3, "max_features": None},
        {"class_weight": "balanced_subsample", "bootstrap": True, "max_features": 0.5, "sublinear_tf": True},
        {"analyzer": "char", "ngrams": (2, 3), "max_features": "log2"},
    ],
)
def test_a_saved_model_predicts_the_same(tmp_path: Path, params: dict[str, Any]) -> None:
    forest = recipe(**params)
    model = fitted(forest, topics(40))
    forest.save(model, tmp_path)
    texts = [text for text, _ in topics(10, seed=3)]
    np.testing.assert_array_equal(forest.predict(forest.load(tmp_path), texts), forest.predict(model, texts))
    assert forest.predict(model, []).shape == (0, 3)


_FIT_AND_SAVE = """
import hashlib, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_tfidf_forest import batches, features_of, recipe, topics
from tasks.step import Shard
folder = Path({folder!r})
folder.mkdir()
forest, rows = recipe(seed=5), topics(60)
parts = [forest.fit(batches(rows[i::2]), features_of(forest, rows), Shard(i, 2)) for i in range(2)]
forest.save(forest.merge(parts, [0.5, 0.5]), folder)
print(hashlib.sha256((folder / "model.skops").read_bytes()).hexdigest())
"""


@pytest.mark.slow
def test_two_processes_make_the_same_bytes_from_the_same_seed(tmp_path: Path) -> None:
    def digest(name: str, hash_seed: str) -> str:
        code = _FIT_AND_SAVE.format(tests=str(Path(__file__).parent), folder=str(tmp_path / name))
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True).stdout

    assert digest("one", "1") == digest("two", "2")


def test_another_seed_grows_other_trees(tmp_path: Path) -> None:
    digests = set()
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        forest = recipe(seed=seed)
        forest.save(fitted(forest, topics(40)), tmp_path / str(seed))
        digests.add(hashlib.sha256((tmp_path / str(seed) / "model.skops").read_bytes()).hexdigest())
    assert len(digests) == 2


def test_unset_memory_of_a_tree_does_not_reach_the_file(tmp_path: Path) -> None:
    forest = recipe(trees=1)
    model = fitted(forest, topics(40))
    forest.save(model, tmp_path)
    clean = (tmp_path / "model.skops").read_bytes()

    tree = model.forest.estimators_[0].tree_
    state = tree.__getstate__()
    nodes = state["nodes"].copy()
    raw = nodes.view(np.uint8).reshape(len(nodes), -1)
    raw[:, 57:] = 255  # the padding after the last field, missing_go_to_left
    nodes["missing_go_to_left"][nodes["left_child"] == -1] = 1
    tree.__setstate__({**state, "nodes": nodes})
    forest.save(forest.merge([model], [1.0]), tmp_path)
    assert (tmp_path / "model.skops").read_bytes() == clean


def test_a_model_file_of_a_foreign_type_is_not_loaded(tmp_path: Path) -> None:
    # skops itself would trust this one: it is scikit-learn's.
    _skops.write({"terms": "a", "idf": np.ones(1), "forest": LogisticRegression()}, tmp_path / "model.skops")
    with pytest.raises(Corrupt, match="LogisticRegression"):
        recipe().load(tmp_path)


def test_a_model_file_that_names_a_function_is_not_loaded(tmp_path: Path) -> None:
    forest = recipe()
    forest.save(fitted(forest, topics(30)), tmp_path)
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path) as made:
        parts = {name: made.read(name) for name in made.namelist()}
    parts["schema.json"] = parts["schema.json"].replace(b'"RandomForestClassifier"', b'"os.system"')
    with zipfile.ZipFile(path, "w") as out:
        for name, data in parts.items():
            out.writestr(name, data)
    with pytest.raises(Corrupt, match=r"os\.system"):
        forest.load(tmp_path)


@pytest.mark.parametrize("damage", ["child", "feature"])
def test_a_tree_that_points_outside_its_arrays_is_not_loaded(tmp_path: Path, damage: str) -> None:
    forest = recipe(trees=1)
    model = fitted(forest, topics(40))
    tree = model.forest.estimators_[0].tree_
    state = tree.__getstate__()
    nodes = state["nodes"].copy()
    nodes[0]["left_child" if damage == "child" else "feature"] = 10_000
    tree.__setstate__({**state, "nodes": nodes})
    forest.save(model, tmp_path)
    with pytest.raises(Corrupt, match="outside its own arrays"):
        forest.load(tmp_path)


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), b"not a zip"])
def test_a_file_that_is_no_model_is_corrupt(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.skops").write_bytes(data)
    with pytest.raises(Corrupt, match="not a readable model file"):
        recipe().load(tmp_path)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"trees": 0}, "greater than or equal to 1"),
        ({"ngrams": (2, 1)}, "shortest, longest"),
        ({"ngrams": (1, 9)}, "between 1 and 8"),
        ({"max_features": 1.5}, "above 0 and up to 1"),
        ({"max_features": "half"}, "sqrt"),
        ({"class_weight": "balanced_subsample"}, "needs bootstrap: true"),
        ({"tres": 5}, "no such key"),
    ],
)
def test_parameters_out_of_range_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TfidfForestParams(**params)
