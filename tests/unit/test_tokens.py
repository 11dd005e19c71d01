"""Terms, ids and the vocabulary that the mirrored recipes share."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from tasks.models import _vocabulary
from tasks.models._tokens import TokenIds, Words, heaviest, padded


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Read the moon", ["read", "the", "moon"]),
        ("read_csv_file", ["read_csv_file", "read", "csv", "file"]),
        ("readCsvFile", ["readcsvfile", "read", "csv", "file"]),
        ("HTTPServer2", ["httpserver2", "http", "server"]),  # a single figure says nothing
        ("utf16le", ["utf16le", "utf", "16", "le"]),
        ("_private __init__", ["_private", "__init__"]),
        ("MOON x yz", ["moon", "yz"]),
        ("Größe naïveÜbung", ["größe", "naïveübung"]),
        ("\u4e2d\u6587\u5206\u8bcd", ["\u4e2d\u6587", "\u5206\u8bcd"]),
    ],
)
def test_a_compound_is_followed_by_its_parts(text: str, terms: list[str]) -> None:
    assert Words().terms(text) == terms


@given(text=st.text(max_size=80))
def test_without_parts_terms_are_words(text: str) -> None:
    words = Words(parts=False).terms(text)
    assert [term for term in Words().terms(text) if term in set(words)][:1] == words[:1]
    assert all(len(term) > 1 for term in Words().terms(text) if term.isascii())


def test_known_terms_have_their_own_id_and_others_share() -> None:
    ids = TokenIds.of(["moon", "sun"], buckets=3)
    assert ids.size == 6
    assert ids.ids(["sun", "moon"]) == [2, 1]
    rare = ids.ids(["comet", "meteor", "nova", "comet"])
    assert all(3 <= each < 6 for each in rare)
    assert rare[0] == rare[3]


def batch(rows: list[tuple[str, str]]) -> pa.Table:
    return pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]})


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.sampled_from(["ab", "cd", "ef", "gh"]), max_size=5).map(" ".join), st.sampled_from("xyz")
        ),
        min_size=1,
        max_size=20,
    ),
    shards=st.integers(1, 4),
    order=st.randoms(use_true_random=False),
)
def test_vocabulary_and_labels_are_the_same_whatever_the_sharding(
    rows: list[tuple[str, str]], shards: int, order: random.Random
) -> None:
    whole = _vocabulary.combine([_vocabulary.count([batch(rows)], Words())], least=1, most=len(rows), size=3)
    counts = [_vocabulary.count([batch(rows[i::shards])] if rows[i::shards] else [], Words()) for i in range(shards)]
    order.shuffle(counts)
    united = _vocabulary.combine(counts, least=1, most=len(rows), size=3)
    assert united.equals(whole, check_metadata=True)
    assert _vocabulary.labels_of(united) == sorted({label for _, label in rows})


def test_rows_of_an_unknown_label_are_left_out() -> None:
    features = _vocabulary.count([batch([("ab", "y"), ("cd", "x")])], Words())
    (known,) = _vocabulary.label_ids([batch([("ab", "y"), ("cd", "z"), ("ef", "x")])], features)
    assert (known[0]["text"].to_pylist(), known[1]) == (["ab", "ef"], [1, 0])


def test_weights_are_those_of_tfidf_vectorizer_the_heaviest_first() -> None:
    texts = ["moon moon sun", "sun star", "star star star moon comet"]
    theirs = TfidfVectorizer(sublinear_tf=True).fit(texts)
    row = theirs.transform(texts[2:]).toarray()[0]
    places = np.array([theirs.vocabulary_[term] for term in ("star", "moon", "comet")])
    kept, weights = heaviest(places, np.array([3.0, 1.0, 1.0]), theirs.idf_[places], 2)
    order = np.argsort(-row)[:2]
    assert kept.tolist() == order.tolist()
    np.testing.assert_allclose(weights, row[order], rtol=1e-6)


def test_rows_are_padded_and_cut() -> None:
    assert padded([[1], [], [1, 2, 3]], 2, np.int32).tolist() == [[1, 0], [0, 0], [1, 2]]
