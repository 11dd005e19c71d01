"""A linear-chain conditional random field: its likelihood in TensorFlow, its best path in NumPy.

Lafferty, McCallum, Pereira, Conditional Random Fields, 2001; over the emissions of a network as in Lample et al.,
Neural Architectures for Named Entity Recognition, 2016, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.kinds._tags import allowed

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

_NEVER = -1e4
"""The score of what a scheme forbids: less than any sum of real ones."""


def log_likelihood(
    emissions: tf.Tensor, tags: tf.Tensor, mask: tf.Tensor, transitions: tf.Tensor, begin: tf.Tensor, end: tf.Tensor
) -> tf.Tensor:
    """ln p(tags | emissions) of each sentence, shape ``(sentences,)``.

    ``emissions`` (sentences, tokens, tags) float32; ``tags`` (sentences, tokens) int32; ``mask`` (sentences, tokens)
    float32, 1 for each token, then 0. ``transitions[i, j]`` scores tag j after tag i.
    """
    import tensorflow as tf

    first = begin[None, :] + emissions[:, 0]

    def forward(alpha: tf.Tensor, step: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        emitted, here = step
        following = tf.reduce_logsumexp(alpha[:, :, None] + transitions[None], axis=1) + emitted
        return tf.where(here[:, None] > 0, following, alpha)

    steps = (tf.transpose(emissions[:, 1:], [1, 0, 2]), tf.transpose(mask[:, 1:], [1, 0]))
    last = tf.foldl(forward, steps, initializer=first)
    every = tf.reduce_logsumexp(last + end[None, :], axis=1)

    emitted = tf.reduce_sum(tf.gather(emissions, tags, axis=2, batch_dims=2) * mask, axis=1)
    pairs = tf.stack([tags[:, :-1], tags[:, 1:]], axis=-1)
    moved = tf.reduce_sum(tf.gather_nd(transitions, pairs) * mask[:, 1:], axis=1)
    lengths = tf.maximum(tf.cast(tf.reduce_sum(mask, axis=1), tf.int32), 1)
    final = tf.gather(tags, lengths - 1, axis=1, batch_dims=1)
    return emitted + moved + tf.gather(begin, tags[:, 0]) + tf.gather(end, final) - every


def constraints(tags: Sequence[str], scheme: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is added to transitions, begin and end so that a path never breaks the scheme."""
    import numpy as np

    def forbidden(before: str | None, tag: str | None) -> float:
        return 0.0 if allowed(before, tag, scheme) else _NEVER

    between = np.array([[forbidden(before, tag) for tag in tags] for before in tags])
    return between, np.array([forbidden(None, t) for t in tags]), np.array([forbidden(t, None) for t in tags])


def best_path(emissions: np.ndarray, transitions: np.ndarray, begin: np.ndarray, end: np.ndarray) -> list[int]:
    """The likeliest tags of one sentence, ``emissions`` of shape (tokens, tags): Viterbi's algorithm."""
    score = begin + emissions[0]
    back = []
    for emitted in emissions[1:]:
        candidates = score[:, None] + transitions
        back.append(candidates.argmax(axis=0))
        score = candidates.max(axis=0) + emitted
    path = [int((score + end).argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return path[::-1]
