"""Which layers a network that workers train in step may have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers

from tasks.errors import BadInput
from tasks.models._dropout import Dropout
from tasks.training.mirrored.network import refuse_drifting

WIDTH = 4


def model_of(*stack: Any) -> keras.Model:
    vectors = keras.Input((3, WIDTH))
    read = vectors
    for layer in stack:
        read = layer(read)
    return keras.Model(vectors, read)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: layers.Dropout(0.1), "Dropout with rate=0.1"),
        (lambda: layers.SpatialDropout1D(0.2), "SpatialDropout1D with rate=0.2"),
        (lambda: layers.AlphaDropout(0.2), "AlphaDropout with rate=0.2"),
        (lambda: layers.GaussianDropout(0.2), "GaussianDropout with rate=0.2"),
        (lambda: layers.GaussianNoise(0.3), "GaussianNoise with stddev=0.3"),
        (lambda: layers.LSTM(2, dropout=0.1), "dropout=0.1"),
        (lambda: layers.GRU(2, recurrent_dropout=0.2), "recurrent_dropout=0.2"),
        (lambda: layers.Bidirectional(layers.SimpleRNN(2, dropout=0.1, recurrent_dropout=0.2)), "dropout=0.1, recurr"),
        (lambda: keras.Sequential([layers.Dense(2), layers.Dropout(0.1)]), "rate=0.1"),
    ],
)
def test_what_draws_for_each_replica_is_refused(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(BadInput, match=f"{says}.*another number of workers would draw other masks"):
        refuse_drifting(model_of(make()))


def test_attention_that_drops_is_refused() -> None:
    vectors = keras.Input((3, WIDTH))
    both = keras.Model(vectors, layers.MultiHeadAttention(1, 2, dropout=0.1)(vectors, vectors))
    with pytest.raises(BadInput, match=r"=0\.1"):
        refuse_drifting(both)
    one = keras.Model(vectors, layers.Attention(dropout=0.1)([vectors, vectors]))
    with pytest.raises(BadInput, match=r"Attention with dropout=0\.1"):
        refuse_drifting(one)


def test_what_draws_nothing_or_for_the_whole_batch_is_let_through() -> None:
    refuse_drifting(
        model_of(
            Dropout(0.5, seed=1), layers.Dropout(0), layers.GaussianNoise(0.0), layers.LSTM(2, return_sequences=True)
        )
    )


def test_statistics_of_what_was_seen_are_refused() -> None:
    with pytest.raises(BadInput, match="BatchNormalization"):
        refuse_drifting(model_of(layers.BatchNormalization()))
