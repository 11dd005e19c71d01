"""A layer that keeps a statistic of what its worker saw, as BatchNormalization does under another name."""

from __future__ import annotations

from typing import Any

import keras


class Drifting(keras.layers.Layer):  # type: ignore[misc]
    """Passes on what it is given, and remembers its mean."""

    def build(self, shape: Any) -> None:
        self.mean = self.add_weight(shape=(), initializer="zeros", trainable=False, name="mean")

    def call(self, values: Any, training: bool = False) -> Any:
        if training:
            self.mean.assign(0.9 * self.mean + 0.1 * keras.ops.mean(values))
        return values
