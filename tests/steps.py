"""A few steps of a network on one batch, for tests of what recipes make of them; the training loop is not here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def after_steps(
    made: Any, features: pa.Table, columns: Mapping[str, Any], *, rate: float = 0.05, steps: int = 40
) -> Any:
    """The model after Adam took ``steps`` on the encoded ``columns``, their loss having gone down."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    network = made.network(features)
    batch = {name: tf.constant(array) for name, array in made.inputs(columns).items()}
    variables, optimizer = network.trainable_variables, keras.optimizers.Adam(rate)
    optimizer.build(variables)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(made.losses(network, batch, True)["loss"])
        optimizer.apply([tf.convert_to_tensor(each) for each in tape.gradient(loss, variables)], variables)
        return loss

    losses = [float(step()) for _ in range(steps)]
    assert losses[-1] < losses[0]
    return made.model(network.get_weights(), features)
