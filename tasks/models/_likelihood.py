"""How likely a language model finds whole texts: each read on its own, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tasks.models._subwords import count_words

if TYPE_CHECKING:
    import keras

    from tasks.models._subwords import Subwords

_BESIDE = 32
"""Texts read side by side."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a model made of one text: its log-likelihood (nats), end of document included, and its size."""

    log_likelihood: float
    tokens: int
    words: int
    bytes: int
    unigram: float
    """The log-likelihood by the frequency of each token in the train split alone: what needs no reading."""


class Reader:
    """A network with the two ways of running it: over a window whose next tokens are known, and on to the next one."""

    def __init__(self, network: keras.Model, state_size: int) -> None:
        self._network = network
        self.state_size = state_size
        tokens, state = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, state_size), tf.float32)
        self._judge = tf.function(self._judged, input_signature=(tokens, tokens, state), autograph=False)
        self._go = tf.function(self._gone, input_signature=(tokens, state), autograph=False)

    def begin(self, rows: int) -> np.ndarray:
        """The state of nothing read."""
        return np.zeros((rows, self.state_size), np.float32)

    def judge(self, tokens: np.ndarray, following: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The log-likelihood of each row's ``following`` tokens (-1: none) in float64, and the state behind them."""
        costs, left = self._judge(tokens, following, state)
        return np.asarray(costs.numpy(), np.float64), left.numpy()

    def go(self, tokens: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores of what follows the last token of each row, and the state behind it."""
        scores, left = self._go(tokens, state)
        return scores.numpy(), left.numpy()

    def _judged(self, tokens: tf.Tensor, following: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores, left = self._network([tokens, state], training=False)
        known = tf.maximum(following, 0)
        cost = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=known, logits=scores)
        return -tf.reduce_sum(tf.where(following >= 0, cost, 0.0), axis=1), left

    def _gone(self, tokens: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores, left = self._network([tokens, state], training=False)
        return scores[:, -1], left


def frequencies(counts: np.ndarray) -> np.ndarray:
    """The log-likelihood of each token by how often the train split has it, float64."""
    # Every token once more than it was seen: what was never seen is possible.
    return np.asarray(np.log((counts + 1) / (counts.sum() + len(counts))), np.float64)


def read(reader: Reader, subwords: Subwords, counts: np.ndarray, texts: Sequence[str], window: int) -> list[Read]:
    """Each text from its begin to its end, in the order given; nothing of one is known to another."""
    unigram = frequencies(counts)
    ids = [np.array([0, *subwords.ids(text), 0], np.int32) for text in texts]
    order = sorted(range(len(texts)), key=lambda place: len(ids[place]))
    likelihoods = np.zeros(len(texts))
    for start in range(0, len(order), _BESIDE):
        rows = order[start : start + _BESIDE]
        likelihoods[rows] = _together(reader, [ids[row] for row in rows], window)
    return [
        Read(
            log_likelihood=float(likelihoods[row]),
            tokens=len(ids[row]) - 1,
            words=count_words(text),
            bytes=len(text.encode()),
            unigram=float(unigram[ids[row][1:]].sum()),
        )
        for row, text in enumerate(texts)
    ]


def _together(reader: Reader, rows: Sequence[np.ndarray], window: int) -> np.ndarray:
    """The log-likelihood of each row, all of them read side by side."""
    total, state = np.zeros(len(rows)), reader.begin(len(rows))
    for start in range(0, max(len(row) for row in rows) - 1, window):
        tokens, following = np.zeros((len(rows), window), np.int32), np.full((len(rows), window), -1, np.int32)
        for place, row in enumerate(rows):
            now, then = row[:-1][start : start + window], row[1:][start : start + window]
            tokens[place, : len(now)], following[place, : len(then)] = now, then
        gained, state = reader.judge(tokens, following, state)
        total += gained
    return total
