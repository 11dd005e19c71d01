"""The same in Keras: a model, ``fit``, and what comes of it, in one process, on all rows of the train split at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.judging.recommendations import rate
from tasks.models._rouge import Tokenizer, oracle, scores

_NEAR = 10


def factorisation(train: pa.Table, test: pa.Table, seed: int) -> float:
    """NDCG@10 of a vector a user and a vector and bias an item, by cross-entropy over all items."""
    import keras
    from keras import layers

    users, items = sorted(set(train["user"].to_pylist())), sorted(set(train["item"].to_pylist()))
    places = [{name: place for place, name in enumerate(names)} for names in (users, items)]
    pairs = np.array([[places[0][u], places[1][i]] for u, i in _pairs(train)])
    keras.utils.set_random_seed(seed)
    user = keras.Input((), dtype="int32")
    vector = layers.Dropout(0.5)(layers.Embedding(len(users), 64)(user))
    model = keras.Model(user, layers.Dense(len(items), kernel_regularizer=keras.regularizers.L2(1e-4))(vector))
    steps = 10 * -(-len(pairs) // 256)
    rate_ = keras.optimizers.schedules.PolynomialDecay(0.02, steps, 0.0)
    model.compile(keras.optimizers.Adam(rate_), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(pairs[:, 0], pairs[:, 1], batch_size=256, epochs=10, verbose=0)
    return _ndcg(train, test, users, items, np.asarray(model.predict(np.arange(len(users)), verbose=0)))


def pure_svd(train: pa.Table, test: pa.Table, seed: int) -> float:
    """NDCG@10 of scikit-learn's TruncatedSVD of who had what: Cremonesi, Koren, Turrin, 2010, call it PureSVD."""
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import TruncatedSVD

    users, items = sorted(set(train["user"].to_pylist())), sorted(set(train["item"].to_pylist()))
    places = [{name: place for place, name in enumerate(names)} for names in (users, items)]
    rows, columns = zip(*((places[0][u], places[1][i]) for u, i in _pairs(train)), strict=True)
    had = csr_matrix((np.ones(len(rows)), (rows, columns)))
    axes = TruncatedSVD(16, random_state=seed)
    return _ndcg(train, test, users, items, axes.fit_transform(had) @ axes.components_)


def sentences(train: pa.Table, test: pa.Table, seed: int) -> float:
    """ROUGE-1 of the likeliest sentence, by an LSTM over the mean vectors of their words."""
    import keras
    from keras import layers

    cut, longest, most = Tokenizer().tokenize, 40, 20
    known: dict[str, int] = {}
    for text in train["text"].to_pylist():
        for word in cut(text):
            known.setdefault(word, len(known) + 2)

    def read(texts: Iterable[list[str]]) -> np.ndarray:
        found = np.zeros((len(list(texts := list(texts))), most, longest), np.int32)
        for row, text in enumerate(texts):
            for place, sentence in enumerate(text[:most]):
                ids = [known.get(word, 1) for word in cut(sentence)[:longest]]
                found[row, place, : len(ids)] = ids
        return found

    texts, summaries = train["sentences"].to_pylist(), train["summary"].to_pylist()
    wanted = np.zeros((len(texts), most, 1), np.float32)
    for row, (text, summary) in enumerate(zip(texts, summaries, strict=True)):
        for place in oracle(text[:most], summary, 1):
            wanted[row, place] = 1
    keras.utils.set_random_seed(seed)
    words = keras.Input((most, longest), dtype="int32")
    vectors = layers.TimeDistributed(layers.GlobalAveragePooling1D())(layers.Embedding(len(known) + 2, 64)(words))
    read_in_order = layers.Bidirectional(layers.LSTM(64, return_sequences=True))(layers.Dropout(0.3)(vectors))
    model = keras.Model(words, layers.Dense(1, activation="sigmoid")(read_in_order))
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy")
    there = (read(texts).any(axis=2)).astype(np.float32)
    model.fit(read(texts), wanted, sample_weight=there, batch_size=32, epochs=6, verbose=0)
    said = np.asarray(model.predict(read(test["sentences"].to_pylist()), verbose=0))[:, :, 0]
    best = [
        scores(summary, [text[int(chances[: len(text)].argmax())]])["rouge_1"]
        for text, summary, chances in zip(test["sentences"].to_pylist(), test["summary"].to_pylist(), said, strict=True)
    ]
    return float(np.mean(best))


def _pairs(rows: pa.Table) -> list[tuple[str, str]]:
    return list(zip(rows["user"].to_pylist(), rows["item"].to_pylist(), strict=True))


def _ndcg(train: pa.Table, test: pa.Table, users: list[str], items: list[str], found: Any) -> float:
    """Means over the test's users; what a user had in train is not recommended, a new user gets nothing."""
    had: dict[str, set[str]] = defaultdict(set)
    wanted: dict[str, set[str]] = defaultdict(set)
    for user, item in _pairs(train):
        had[user].add(item)
    for user, item in _pairs(test):
        wanted[user].add(item)
    order = dict(zip(users, np.argsort(-found, axis=1, kind="stable"), strict=True))
    total = 0.0
    for user, theirs in wanted.items():
        ranked = [items[place] for place in order.get(user, ()) if items[place] not in had[user]]
        total += rate(ranked, theirs, _NEAR)[1]
    return total / len(wanted)
