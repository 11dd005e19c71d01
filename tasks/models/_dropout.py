"""Dropout that depends on an example's place in the global batch, and not on the number of replicas."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class Dropout(keras.layers.Dropout):  # type: ignore[misc]
    """Keras's dropout (Srivastava et al. 2014), its mask drawn for the whole global batch; a replica takes its rows.

    Replica ``r`` of ``R`` computes the examples ``r, r + R, …`` of a global batch, so those are its rows of the mask.
    Numbers are drawn in sequence, row by row: what a shared seed draws for an example is then the same for every
    ``R``, although the last rows of a batch are filled up to a multiple of it. Costs ``R`` times the draws.

    In: float (batch, ...). Out: the same shape, 0 where dropped, else ``1 / (1 - rate)`` times what came in.
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """``inputs`` as they are, unless ``training``."""
        if not training or self.rate == 0:
            return inputs
        context = tf.distribute.get_replica_context()
        # None where workers do not take steps together: each has the whole batch.
        replica, replicas = (context.replica_id_in_sync_group, context.num_replicas_in_sync) if context else (0, 1)
        rows = tf.shape(inputs)[0]
        shape = tf.concat([[rows * replicas], tf.shape(inputs)[1:]], 0)
        drawn = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        kept = tf.cast(drawn[replica::replicas] >= self.rate, inputs.dtype)
        return inputs * kept / tf.cast(1 - self.rate, inputs.dtype)
