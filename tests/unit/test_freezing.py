"""Frozen layers: they keep the champion's weights to the bit, the others learn, and names that are none are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.config import Corpus
from tasks.errors import BadInput
from tasks.training import Training
from tasks.training.apart import alone
from tasks.training.freezing import freeze, require_beginning
from tests.unit import test_language_model, test_lstm_tagger, test_networks, test_summarizer

Weights = dict[str, list[np.ndarray]]
LAYERS = {
    "text_encoder": ("embedding", ["embedding", "window_2", "window_3", "labels"]),
    "lstm_tagger": ("vectors", ["letters", "convolution", "vectors", "lstm", "tags", "crf"]),
    "summarizer": ("vectors", ["vectors", "convolution", "order", "lstm", "scores"]),
    "language_model": ("subwords", ["subwords", "lstm_0", "lstm_1", "bias"]),
}
"""Of each recipe the layer that holds its words' vectors, and all that can be named."""


def given(recipe: str) -> tuple[Any, pa.Table]:
    if recipe == "text_encoder":
        return test_networks.recipe(recipe), test_networks.rows(12)
    if recipe == "lstm_tagger":
        return test_lstm_tagger.recipe(), test_lstm_tagger.table()
    if recipe == "summarizer":
        return test_summarizer.recipe(), test_summarizer.texts(6, test_summarizer.ENGLISH)[0]
    return test_language_model.recipe(), test_language_model.table(test_language_model.TEXTS)


def by_layer(network: Any) -> Weights:
    return {layer.name: [np.array(array) for array in layer.get_weights()] for layer in network.layers if layer.weights}


def trained(network: Any, made: Any, columns: Mapping[str, Any]) -> Weights:
    """The weights after some steps on all examples at once."""
    import keras
    import tensorflow as tf

    batch = {name: tf.constant(array) for name, array in made.inputs(columns).items()}
    if size := getattr(made, "state_size", 0):
        batch["state"] = tf.zeros((len(next(iter(batch.values()))), size))
    variables, optimizer = network.trainable_variables, keras.optimizers.Adam(0.01)
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(made.losses(network, batch, True)["loss"])
        optimizer.apply([tf.convert_to_tensor(each) for each in tape.gradient(loss, variables)], variables)
    return by_layer(network)


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("recipe", LAYERS)
def test_a_frozen_layer_stays_the_champions_to_the_bit_and_all_others_learn(recipe: str) -> None:
    made, rows = given(recipe)
    features = made.combine([made.count(iter([rows]))], rows.num_rows)
    chunks = list(made.encode(iter([rows]), features))
    columns = {name: [value for chunk in chunks for value in chunk[name]] for name in chunks[0]}
    first, name = made.network(features), LAYERS[recipe][0]
    champion = trained(first, made, columns)

    network = made.network(features)
    network.set_weights(list(made.warm(network.get_weights(), features, made.model(first.get_weights(), features))))
    assert same(by_layer(network)[name], champion[name])
    freeze(network, [name])
    after = trained(network, made, columns)
    assert list(after) == LAYERS[recipe][1]
    assert [layer for layer in after if same(after[layer], champion[layer])] == [name]


@pytest.mark.parametrize("recipe", LAYERS)
def test_a_layer_that_is_none_is_refused_with_those_that_are(recipe: str) -> None:
    made, rows = given(recipe)
    network = made.network(made.combine([made.count(iter([rows]))], rows.num_rows))
    said = rf"^train.freeze: the recipe's network has no layer words2vec; it has {', '.join(LAYERS[recipe][1])}$"
    with pytest.raises(BadInput, match=said):
        freeze(network, ["words2vec", LAYERS[recipe][0]])
    assert all(layer.trainable for layer in network.layers), "nothing is frozen by halves"
    with pytest.raises(BadInput, match="leaves no layer to learn"):
        freeze(network, LAYERS[recipe][1])


def test_layers_of_networks_within_the_network_have_names_too() -> None:
    from tasks.models.image_vgg16 import ImageVgg16, ImageVgg16Params

    whole = ImageVgg16(ImageVgg16Params(weights="random", size=32, fine_tune=1), 0)._whole(3, trained=True)
    with pytest.raises(BadInput, match=r"it has block1_conv1, .*block5_conv3, norm, hidden, labels"):
        freeze(whole, ["head"])
    freeze(whole, ["hidden"])
    learning = {variable.path.split("/")[0] for variable in whole.trainable_variables}
    assert learning == {"block5_conv1", "block5_conv2", "block5_conv3", "norm", "labels"}


def corpus(base: Corpus, **train: Any) -> Corpus:
    section = {"recipe": "text_encoder", "warm_start": True, "freeze": ["embedding"], **train}
    return Corpus.model_validate({**base.model_dump(mode="json"), "train": section})


def test_what_was_drawn_by_chance_is_not_frozen(make_context: Any, make_corpus: Any, make_snapshot: Any) -> None:
    context = make_context(corpus(make_corpus()))
    training = Training.of(context.corpus, make_snapshot(context, train=[], validation=[]))
    require_beginning(training, {"version": 1, "run": "abc", "frozen": ["embedding"]})
    with pytest.raises(BadInput, match=r"freeze \['embedding'\]: there are no weights of a champion to keep"):
        require_beginning(training, None)
    require_beginning(replace(training, corpus=corpus(make_corpus(), freeze=[])), None)


def test_folds_and_trials_which_begin_at_random_freeze_nothing(make_corpus: Any) -> None:
    assert alone(corpus(make_corpus())).train.freeze == ()


def test_a_training_without_frozen_layers_is_the_one_that_it_was(make_corpus: Any) -> None:
    assert "freeze" not in corpus(make_corpus(), freeze=[]).train.model_dump(mode="json")
    assert corpus(make_corpus()).train.model_dump(mode="json")["freeze"] == ["embedding"]
