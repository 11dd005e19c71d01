"""Networks that read tokens and leave a state behind: an LSTM, and a transformer that remembers the window before."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tasks.models._dropout import Dropout

_EPSILON = 1e-6


class Block(layers.Layer):  # type: ignore[misc]
    """One layer of a causal transformer: attention over the window and what is remembered of before, then a network.

    Normalised before each part (Xiong et al., On Layer Normalization in the Transformer Architecture, 2020), by the
    root mean square alone (Zhang and Sennrich, 2019). Positions are turned into the queries and keys (Su et al.,
    RoFormer, 2021), so that only distances count, and a memory (Dai et al., Transformer-XL, 2019) needs no others.
    """

    def __init__(self, heads: int, memory: int, dropout: float, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self._heads, self._memory = heads, memory
        self._drop = Dropout(dropout, seed=seed)

    def build(self, shape: Any) -> None:
        size = shape[-1]
        for place, (name, kernel) in enumerate(
            (
                ("attend", (size, 3 * size)),
                ("attended", (size, size)),
                ("widen", (size, 4 * size)),
                ("narrow", (4 * size, size)),
            )
        ):
            drawn = keras.initializers.RandomNormal(stddev=0.02, seed=self._drop.seed + place)
            setattr(self, name, self.add_weight(shape=kernel, initializer=drawn, name=name))
        for name in ("before_attention", "before_widening"):
            setattr(self, name, self.add_weight(shape=(size,), initializer="ones", name=name))

    def call(self, read: Any, remembered: Any, valid: Any, training: bool = False) -> Any:
        """``read`` (rows, tokens, size), ``remembered`` (rows, memory, size), ``valid`` (rows, memory): 1 or 0."""
        whole = ops.concatenate([remembered, read], axis=1)
        attended = self._attention(_normal(whole, self.before_attention), ops.shape(read)[1], valid)
        read = read + self._drop(ops.matmul(attended, self.attended), training=training)
        wide = ops.gelu(ops.matmul(_normal(read, self.before_widening), self.widen))
        return read + self._drop(ops.matmul(wide, self.narrow), training=training)

    def _attention(self, whole: Any, tokens: Any, valid: Any) -> Any:
        size = whole.shape[-1]
        each = size // self._heads
        length = ops.shape(whole)[1]
        parts = ops.reshape(ops.matmul(whole, self.attend), (-1, length, 3, self._heads, each))
        query, key, value = (parts[:, :, place] for place in range(3))
        places = ops.arange(length)
        query, key = _turned(query[:, self._memory :], places[self._memory :]), _turned(key, places)
        scores = ops.einsum("bqhd,bkhd->bhqk", query, key) / each**0.5
        seen = places[None, :] <= places[self._memory :, None]
        kept = ops.concatenate([valid > 0, ops.ones((ops.shape(whole)[0], tokens), "bool")], axis=1)
        mask = ops.logical_and(seen[None, None], kept[:, None, None])
        scores = ops.where(mask, ops.cast(scores, "float32"), -1e9)
        weights = ops.cast(ops.softmax(scores, axis=-1), whole.dtype)
        return ops.reshape(ops.einsum("bhqk,bkhd->bqhd", weights, value), (-1, tokens, size))


class Bias(layers.Layer):  # type: ignore[misc]
    """Adds a number to the score of each token, at first the logarithm of how often it comes.

    What frequencies alone say is then known from the first step on, and all that follows learns what reading adds.
    """

    def __init__(self, unigram: np.ndarray, **options: Any) -> None:
        super().__init__(dtype="float32", **options)
        # The mean of no matter to what is said; without it the network's own scores are of the same size.
        self._begin = (unigram - unigram.mean()).astype(np.float32)

    def build(self, shape: Any) -> None:
        def begin(shape: Any, dtype: Any) -> Any:
            return ops.convert_to_tensor(self._begin, dtype)

        self.bias = self.add_weight(shape=self._begin.shape, initializer=begin, name="bias")

    def call(self, scores: Any) -> Any:
        return scores + self.bias


def lstm(unigram: np.ndarray, dimension: int, units: list[int], dropout: float, seed: int) -> keras.Model:
    """Scores of the next token, and the state: both of each layer's, hidden and cell, one after the other.

    ``unigram``, float64 of shape ``(vocabulary,)``, is the log-likelihood of each token by its frequency. What the
    embedding reads with, it says with (Press and Wolf, Using the Output Embedding to Improve Language Models, 2017); a
    dropped feature is dropped for the whole window (Gal and Ghahramani, 2016).
    """
    tokens, state = keras.Input((None,), dtype="int32"), keras.Input((2 * sum(units),), dtype="float32")
    embedding = _embedding(len(unigram), dimension, seed)
    read, left, at = _dropped(embedding(tokens), dropout, seed), [], 0
    for number, width in enumerate(units):
        layer = layers.LSTM(width, return_sequences=True, return_state=True, seed=seed + number, name=f"lstm_{number}")
        begin = [state[:, at : at + width], state[:, at + width : at + 2 * width]]
        read, hidden, cell = layer(read, initial_state=begin)
        read, at = _dropped(read, dropout, seed + number + 1), at + 2 * width
        left += [hidden, cell]
    said = Bias(unigram, name="bias")(_whole(embedding(read, reverse=True)))
    return keras.Model([tokens, state], [said, _whole(ops.concatenate(left, axis=-1))], name="lstm")


def transformer(
    unigram: np.ndarray, dimension: int, blocks: int, heads: int, memory: int, dropout: float, seed: int
) -> keras.Model:
    """The same of a transformer: its state is what each layer read at the last ``memory`` tokens."""
    size = memory * dimension
    tokens, state = keras.Input((None,), dtype="int32"), keras.Input((blocks * size + memory,), dtype="float32")
    embedding = _embedding(len(unigram), dimension, seed)
    read = Dropout(dropout, seed=seed)(embedding(tokens) * dimension**0.5)
    valid, left = state[:, blocks * size :], []
    for number in range(blocks):
        remembered = ops.cast(
            ops.reshape(state[:, number * size : (number + 1) * size], (-1, memory, dimension)), read.dtype
        )
        left.append(ops.reshape(ops.concatenate([remembered, read], axis=1)[:, -memory:], (-1, size)))
        block = Block(heads, memory, dropout, seed + number + 1, name=f"block_{number}")
        read = block(read, remembered, valid)
    read = layers.RMSNormalization(epsilon=_EPSILON, name="normal")(read)
    said = Bias(unigram, name="bias")(_whole(embedding(read, reverse=True)))
    there = ops.concatenate([valid, ops.ones_like(ops.cast(tokens, "float32"))], axis=1)[:, -memory:]
    left = [_whole(each) for each in left]
    return keras.Model([tokens, state], [said, ops.concatenate([*left, there], axis=-1)], name="transformer")


def _embedding(vocabulary: int, dimension: int, seed: int) -> Any:
    return layers.ReversibleEmbedding(
        vocabulary,
        dimension,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=dimension**-0.5, seed=seed),
        name="subwords",
    )


def _dropped(read: Any, dropout: float, seed: int) -> Any:
    return read * Dropout(dropout, seed=seed)(ops.ones_like(read[:, :1]))


def _whole(value: Any) -> Any:
    return ops.cast(value, "float32")


def _normal(value: Any, scale: Any) -> Any:
    return ops.rms_normalization(value, scale=scale, epsilon=_EPSILON)


def _turned(value: Any, places: Any) -> Any:
    """(rows, tokens, heads, each): pairs of numbers turned by an angle that grows with the token's place."""
    half = value.shape[-1] // 2
    slowness = ops.exp(-ops.arange(half, dtype="float32") * (9.210340371976184 / half))  # ln 10,000
    angles = ops.cast(places, "float32")[:, None] * slowness
    cos, sin = (ops.cast(turn(angles), value.dtype)[None, :, None] for turn in (ops.cos, ops.sin))
    one, other = value[..., :half], value[..., half:]
    return ops.concatenate([one * cos - other * sin, one * sin + other * cos], axis=-1)
