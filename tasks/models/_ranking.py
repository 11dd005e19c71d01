"""A network that ranks the sentences of a text: vectors of words, a vector of each sentence, read in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.models._tokens import PADDING

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from tasks.models._tensors import Layout

_SHARPNESS = 10.0
"""A sentence that has 0.1 less of the summary than another is worth 1 / e of it."""
_NEVER = -1e9


@dataclass(frozen=True, slots=True)
class Ranking:
    """The network's sizes."""

    sentences: int
    words: int
    """Of a sentence."""
    dimension: int
    place_dimension: int
    filters: int
    units: int
    dropout: float
    seed: int

    def network(self, terms: int) -> keras.Model:
        """Untrained, over so many known words: from places (rows, sentences) and words (rows, sentences, words), both
        ids, a score of each sentence."""
        import keras
        from keras import layers, ops

        from tasks.models._dropout import Dropout

        places = keras.Input((self.sentences,), dtype="int32", name="places")
        words = keras.Input((self.sentences, self.words), dtype="int32", name="words")
        vectors = layers.Embedding(terms + 2, self.dimension, name="vectors")(words)
        # One convolution over the words of all sentences of the batch, then the strongest answer within each.
        flat = ops.reshape(vectors, (-1, self.words, self.dimension))
        convolved = layers.Conv1D(self.filters, 3, padding="same", activation="relu", name="convolution")(flat)
        strongest = ops.reshape(ops.max(convolved, axis=1), (-1, self.sentences, self.filters))
        there = ops.cast(ops.not_equal(words, PADDING), vectors.dtype)[..., None]
        count = ops.sum(there, axis=2)
        mean = ops.sum(vectors * there, axis=2) / ops.maximum(count, 1)
        placed = layers.Embedding(self.sentences + 1, self.place_dimension, name="order")(places)
        seen = layers.Concatenate()([placed, strongest, mean, ops.log(count + 1)])
        lstm = layers.Bidirectional(layers.LSTM(self.units, return_sequences=True, seed=self.seed), name="lstm")
        read = lstm(Dropout(self.dropout, seed=self.seed)(seen), mask=ops.not_equal(places, PADDING))
        read = Dropout(self.dropout, seed=self.seed)(read)
        scores = layers.Dense(1, use_bias=False, dtype="float32", name="scores")(read)
        return keras.Model([places, words], ops.reshape(scores, (-1, self.sentences)), name="summarizer")

    def layout(self, terms: int) -> Layout:
        """What a model's file holds: the weights in the network's order."""
        wide = self.place_dimension + self.filters + self.dimension + 1
        shapes: dict[str, tuple[int, ...]] = {
            "vectors": (terms + 2, self.dimension),
            "convolution.kernel": (3, self.dimension, self.filters),
            "convolution.bias": (self.filters,),
            "order": (self.sentences + 1, self.place_dimension),
        }
        for way in ("forward", "backward"):
            shapes |= {
                f"lstm.{way}.kernel": (wide, 4 * self.units),
                f"lstm.{way}.recurrent": (self.units, 4 * self.units),
                f"lstm.{way}.bias": (4 * self.units,),
            }
        shapes["scores"] = (2 * self.units, 1)
        return {name: ("float32", shape) for name, shape in shapes.items()}


def listwise(scores: tf.Tensor, gains: tf.Tensor, there: tf.Tensor) -> dict[str, tf.Tensor]:
    """Loss and accuracy of each row's ranking; all of shape ``(rows, sentences)``, ``there`` true of real sentences.

    The cross-entropy of two distributions over a text's sentences, one by what each gains and one by its score:
    ListNet (Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, 2007, section 4). ``accuracy``
    is 1 where the best-scored sentence is one that gains most.
    """
    import tensorflow as tf

    scores = tf.where(there, tf.cast(scores, tf.float32), _NEVER)
    gains = tf.where(there, tf.cast(gains, tf.float32), _NEVER)
    wanted = tf.nn.softmax(gains * _SHARPNESS)
    best = tf.argmax(scores, axis=1, output_type=tf.int32)
    hit = tf.gather(gains, best, batch_dims=1) >= tf.reduce_max(gains, axis=1)
    return {
        "loss": -tf.reduce_sum(wanted * tf.nn.log_softmax(scores), axis=1),
        "accuracy": tf.cast(hit, tf.float32),
    }


def chances(scores: Any, count: int) -> list[float]:
    """Of one row's first ``count`` sentences, their shares by their scores; they sum to 1."""
    from scipy.special import softmax

    found: list[float] = softmax(scores[:count]).tolist()
    return found
