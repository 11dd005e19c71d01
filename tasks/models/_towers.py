"""Users and items as vectors whose product says how well they fit. Imports Keras: only from inside a method."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tasks.models._dropout import Dropout

ITEMS = "items"
"""The layer that holds the items, for whoever scores them."""
_START = 0.1


class Items(layers.Layer):  # type: ignore[misc]
    """A vector and a bias an item; with ``units``, the item's tower.

    ``call`` takes places plus 1 of a user's items, 0 where there are no more, shape ``(users, most)``, and gives the
    mean of their vectors, 0 for none. Without ``units`` nobody asks for it: it passes on what it is given.
    """

    def __init__(self, items: int, dimension: int, units: int | None, seed: int, **named: Any) -> None:
        super().__init__(**named)
        self._items, self._dimension, self._units = items, dimension, units
        self._seed = seed
        # Of what a step is not about there are so many that some will do; where they are drawn is checkpointed.
        self.chance = keras.random.SeedGenerator(seed)

    def build(self, shape: Any) -> None:
        wide = self._dimension
        start = keras.initializers.RandomNormal(stddev=_START, seed=self._seed)
        self.embedding = self.add_weight(shape=(self._items, wide), initializer=start, name="embedding")
        if self._units is not None:
            spread = keras.initializers.GlorotUniform(self._seed)
            self.inner = self.add_weight(shape=(wide, self._units), initializer=spread, name="inner")
            self.inner_bias = self.add_weight(shape=(self._units,), initializer="zeros", name="inner_bias")
            self.outer = self.add_weight(shape=(self._units, wide), initializer=spread, name="outer")
        self.bias = self.add_weight(shape=(self._items,), initializer="zeros", name="bias")

    def call(self, history: Any) -> Any:
        if self._units is None:
            return history
        known = ops.cast(ops.not_equal(history, 0), "float32")[..., None]
        vectors = ops.take(self.embedding, ops.maximum(history - 1, 0), axis=0) * known
        return ops.sum(vectors, axis=1) / ops.maximum(ops.sum(known, axis=1), 1.0)

    def vectors(self, places: Any = None) -> Any:
        """The tower's vectors of some items, or of all."""
        read = self.embedding.value if places is None else ops.take(self.embedding, places, axis=0)
        if self._units is None:
            return read
        return read + ops.relu(read @ self.inner.value + self.inner_bias.value) @ self.outer.value

    def biases(self, places: Any = None) -> Any:
        """What each of them has for every user."""
        return self.bias.value if places is None else ops.take(self.bias, places)


def towers(
    users: int, items: int, *, dimension: int, units: int | None, most: int, dropout: float, seed: int
) -> keras.Model:
    """A network from ``user`` (and, with ``units``, ``history``) to the user's vector, its layer ``items`` beside it.

    Without ``units`` it is matrix factorisation: a vector a user. With them it has two towers.
    """
    user = keras.Input((), dtype="int32", name="user")
    start = keras.initializers.RandomNormal(stddev=_START, seed=seed)
    vector = layers.Embedding(users, dimension, embeddings_initializer=start, name="users")(user)
    held = Items(items, dimension, units, seed, name=ITEMS, dtype="float32")
    history = keras.Input((most,), dtype="int32", name="history")
    if units is None:
        return keras.Model([user, history], held(Dropout(dropout, seed=seed)(vector)), name="factorisation")
    had = held(history)
    both = Dropout(dropout, seed=seed)(layers.Concatenate()([vector, had]))
    inner = layers.Dense(units, activation="relu", name="user_inner")(both)
    outer = layers.Dense(dimension, use_bias=False, dtype="float32", name="user_outer")(inner)
    return keras.Model([user, history], outer + had, name="two_towers")
