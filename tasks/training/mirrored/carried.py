"""What the lanes of a stream carry from step to step: the same on all replicas, hence in every checkpoint whole."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class Carried:
    """One variable of shape ``(lanes, size)``; made and written within a strategy's scope or replica.

    Replica r of n computes the lanes r, r + n, …: the rows that ``order.share`` gives it. What they leave behind is
    summed over the replicas with the gradients, so that whoever goes on, on however many workers, finds all lanes.
    """

    def __init__(self, lanes: int, size: int, replicas: int) -> None:
        self.variable = keras.Variable(
            tf.zeros((lanes, size)), trainable=False, dtype="float32", autocast=False, name="carried"
        )
        self._replicas = replicas

    def forget(self) -> None:
        """All lanes begin anew."""
        self.variable.assign(tf.zeros(self.variable.shape))

    def of(self, examples: tf.Tensor) -> tf.Tensor:
        """The states of this replica's examples, shape ``(examples, size)``."""
        return tf.gather(self.variable.value, self._lanes(examples))

    def spread(self, left: tf.Tensor, real: tf.Tensor) -> list[tf.Tensor]:
        """What this replica's real examples left, at their lanes, and 0 elsewhere; to be summed over replicas."""
        rows = tf.where(real[:, None] > 0, tf.cast(left, tf.float32), 0.0)
        return [tf.scatter_nd(self._lanes(tf.shape(real)[0])[:, None], rows, self.variable.shape)]

    def keep(self, summed: tf.Tensor) -> None:
        """Carry what all replicas left; a lane that was not in this step has ended."""
        self.variable.assign(summed)

    def _lanes(self, examples: tf.Tensor) -> Any:
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        # What fills up a share may lie beyond the last lane: it is read, and not kept.
        return tf.minimum(replica + self._replicas * tf.range(examples), self.variable.shape[0] - 1)
