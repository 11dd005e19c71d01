"""Networks of Keras's own layers and ``fit`` for images, tags and running text, with the corpus' sizes and rates."""

from __future__ import annotations

import io
import math
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.judging.entities import Entities
from tasks.models import _subwords

_SIDE = 32
_TOKENS = 48
_VOCABULARY, _WINDOW = 1500, 32


def vgg(train: pa.Table, test: pa.Table, seed: int) -> float:
    """Accuracy of a layer behind VGG16 with random weights, as nobody has ImageNet's offline; frozen."""
    import keras
    from keras import applications, layers

    def pixels(rows: pa.Table) -> np.ndarray:
        from PIL import Image

        found = [
            Image.open(io.BytesIO(each)).convert("RGB").resize((_SIDE, _SIDE)) for each in rows["image"].to_pylist()
        ]
        return np.asarray(applications.vgg16.preprocess_input(np.stack([np.asarray(e, np.float32) for e in found])))

    names = sorted(set(train["label"].to_pylist()))
    wanted = [np.array([names.index(label) for label in rows["label"].to_pylist()]) for rows in (train, test)]
    keras.utils.set_random_seed(seed)
    base = applications.VGG16(include_top=False, weights=None, input_shape=(_SIDE, _SIDE, 3), pooling="avg")
    seen = [np.asarray(base.predict(pixels(rows), verbose=0)) for rows in (train, test)]
    head = keras.Sequential(
        [
            keras.Input((seen[0].shape[1],)),
            layers.LayerNormalization(),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.Dense(len(names), activation="softmax"),
        ]
    )
    head.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    head.fit(seen[0], wanted[0], batch_size=64, epochs=15, verbose=0)
    return float(head.evaluate(seen[1], wanted[1], verbose=0)[1])


def tagger(train: pa.Table, test: pa.Table, seed: int) -> float:
    """Entity F1 of the likeliest tag of each token by itself, from a BiLSTM over words: no characters, no CRF."""
    import keras
    from keras import layers

    seen: Counter[str] = Counter()
    for tokens in train["tokens"].to_pylist():
        seen.update({token.lower() for token in tokens})
    words = {word: place for place, word in enumerate(sorted(w for w, n in seen.items() if n > 1), 2)}
    tags = sorted({tag for given in train["tags"].to_pylist() for tag in given})
    ids = {tag: place for place, tag in enumerate(tags)}

    def read(rows: pa.Table) -> np.ndarray:
        found = np.zeros((rows.num_rows, _TOKENS), np.int32)
        for row, tokens in enumerate(rows["tokens"].to_pylist()):
            numbers = [words.get(token.lower(), 1) for token in tokens[:_TOKENS]]
            found[row, : len(numbers)] = numbers
        return found

    wanted = np.zeros((train.num_rows, _TOKENS), np.int32)
    for row, given in enumerate(train["tags"].to_pylist()):
        wanted[row, : len(given[:_TOKENS])] = [ids[tag] for tag in given[:_TOKENS]]
    keras.utils.set_random_seed(seed)
    tokens = keras.Input((_TOKENS,), dtype="int32")
    vectors = layers.Dropout(0.3)(layers.Embedding(len(words) + 2, 48)(tokens))
    both = layers.Bidirectional(layers.LSTM(48, return_sequences=True))(vectors)
    model = keras.Model(tokens, layers.Dense(len(tags), activation="softmax")(layers.Dropout(0.3)(both)))
    model.compile(keras.optimizers.Adam(8e-3), "sparse_categorical_crossentropy")
    inputs = read(train)
    model.fit(inputs, wanted, sample_weight=(inputs > 0).astype(np.float32), batch_size=64, epochs=5, verbose=0)
    best = np.asarray(model.predict(read(test), batch_size=256, verbose=0)).argmax(axis=2)
    judge = Entities(_Says(tags), None, ())  # type: ignore[arg-type]
    lengths = [len(tokens) for tokens in test["tokens"].to_pylist()]
    said = [
        [tags[i] for i in row[:length]] + ["O"] * (length - _TOKENS) for row, length in zip(best, lengths, strict=True)
    ]
    judge.add(test, said)
    return float(judge.metrics()["f1"])


class _Says:
    """What the judge of entities asks of a recipe."""

    def __init__(self, tags: list[str]) -> None:
        self._tags = tags

    def labels(self, model: Any) -> list[str]:
        return self._tags


def next_subword(train: pa.Table, test: pa.Table, seed: int) -> float:
    """Perplexity a word of an LSTM over shuffled windows, which remembers nothing of the window before."""
    import keras
    from keras import layers

    counts: Counter[str] = Counter()
    for text in train["text"].to_pylist():
        counts.update(_subwords.pieces(text))
    subwords = _subwords.Subwords(_subwords.train(counts, _VOCABULARY, 2))
    size = len(subwords.vocabulary.tokens)
    stream = np.array([i for text in train["text"].to_pylist() for i in (*subwords.ids(text), 0)], np.int32)
    count = (len(stream) - 1) // _WINDOW
    inputs = np.concatenate([[0], stream])[: count * _WINDOW].reshape(count, _WINDOW)
    wanted = stream[: count * _WINDOW].reshape(count, _WINDOW)
    keras.utils.set_random_seed(seed)
    tokens = keras.Input((None,), dtype="int32")
    read = layers.LSTM(128, return_sequences=True)(layers.Dropout(0.1)(layers.Embedding(size, 128)(tokens)))
    model = keras.Model(tokens, layers.Dense(size)(layers.Dropout(0.1)(read)))
    steps = 4 * -(-count // 16)
    rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=1.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(inputs, wanted, batch_size=16, epochs=4, verbose=0)
    texts = test["text"].to_pylist()
    total = sum(_surprise(model, [0, *subwords.ids(text), 0]) for text in texts)
    return math.exp(total / sum(_subwords.count_words(text) for text in texts))


def _surprise(model: Any, ids: list[int]) -> float:
    """Of a text, in nats: read whole, as the state goes on from token to token."""
    from scipy.special import log_softmax

    said = log_softmax(np.asarray(model(np.array([ids[:-1]], np.int32), training=False), np.float64)[0], axis=1)
    return float(-said[np.arange(len(ids) - 1), ids[1:]].sum())
