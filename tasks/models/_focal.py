"""The focal loss: examples that are right already count for less, so that rare and hard ones are learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

_LEAST = 1e-6


def focal(cross_entropy: tf.Tensor, gamma: float) -> tf.Tensor:
    """``(1 - p) ** gamma`` times each example's cross-entropy, where ``p`` is the chance that its label was given.

    Lin et al., Focal Loss for Dense Object Detection, 2017, section 3.2; ``gamma`` 0 is the cross-entropy itself.
    """
    import tensorflow as tf

    if not gamma:
        return cross_entropy
    # Never quite 0, where a power below 1 has no slope.
    wrong = tf.maximum(-tf.math.expm1(-cross_entropy), tf.cast(_LEAST, cross_entropy.dtype))
    return tf.pow(wrong, tf.cast(gamma, cross_entropy.dtype)) * cross_entropy
