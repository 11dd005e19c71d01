"""naive_bayes: against scikit-learn, and the same however the rows are sharded."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from tasks.errors import BadInput, Corrupt
from tasks.models._tensors import TENSORS
from tasks.models.naive_bayes import NaiveBayes, NaiveBayesModel, NaiveBayesParams
from tasks.step import Shard

WORDS = [f"word{i}" for i in range(20)]


def table(count: int, labels: str = "abc") -> pa.Table:
    chance = random.Random(0)
    said = [labels[i % len(labels)] for i in range(count)]
    texts = [" ".join([*chance.choices(WORDS, k=6), f"{label}sign"]) for label in said]
    return pa.table({"text": texts, "label": said})


def recipe(min_df: int = 1) -> NaiveBayes:
    return NaiveBayes(NaiveBayesParams(min_df=min_df, parts=False, smoothing=0.5), 0)


def parts(made: NaiveBayes, rows: pa.Table, shards: int) -> list[NaiveBayesModel]:
    bits = [rows.take(list(range(i, rows.num_rows, shards))) for i in range(shards)]
    features = made.combine([made.count(iter([bit])) for bit in bits], rows.num_rows)
    return [made.fit(iter([bit]), features, Shard(i, shards)) for i, bit in enumerate(bits)]


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_the_sum_of_the_shards_counts_is_scikit_learns_model_of_all_rows(shards: int) -> None:
    made, rows = recipe(), table(40)
    model = made.merge(parts(made, rows, shards), [1 / shards] * shards)
    texts, labels = rows["text"].to_pylist(), rows["label"].to_pylist()
    vectorizer = CountVectorizer(token_pattern=r"\b\w\w+\b").fit(texts)
    theirs = MultinomialNB(alpha=0.5).fit(vectorizer.transform(texts), labels)
    assert made.labels(model) == list(theirs.classes_)
    unseen = [*texts, "word1 nothing else", ""]
    expected = theirs.predict_proba(vectorizer.transform(unseen))
    np.testing.assert_allclose(made.predict(model, unseen), expected, rtol=1e-9)


def test_a_shard_says_nothing_of_classes_that_it_lacks() -> None:
    made, rows = recipe(), table(30)
    first, *_ = shards = parts(made, rows, 3)  # every third row: one label each
    assert [part.labels for part in shards] == [["a"], ["b"], ["c"]]
    assert made.predict(first, ["csign"]).tolist() == [[1.0]]
    assert made.merge(shards, [1 / 3] * 3).labels == ["a", "b", "c"]


def test_parts_of_other_vocabularies_are_not_summed() -> None:
    (one,), (other,) = parts(recipe(), table(30), 1), parts(recipe(min_df=9), table(30), 1)
    assert one.terms != other.terms
    with pytest.raises(BadInput, match="different vocabularies"):
        recipe().merge([one, other], [0.5, 0.5])


def test_a_model_is_saved_read_back_and_refused_when_altered(tmp_path: Path) -> None:
    made, rows = recipe(), table(30)
    (model,) = parts(made, rows, 1)
    made.save(model, tmp_path)
    loaded = made.load(tmp_path)
    np.testing.assert_array_equal(made.predict(loaded, ["asign"]), made.predict(model, ["asign"]))
    assert made.facts(loaded) == {"vocabulary": len(model.terms), "occurrences": 30 * 7}
    save_file({**load_file(tmp_path / TENSORS), "rows": -model.rows}, tmp_path / TENSORS)
    with pytest.raises(Corrupt, match="less than nothing"):
        made.load(tmp_path)
