"""``text_encoder``: words and their parts as vectors, convolutions over them, and what the text says most of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from tasks.models import _vocabulary
from tasks.models._fit import FitParams
from tasks.models._tokens import PADDING, TokenIds, Words
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.models.base import Field as Column
from tasks.section import Section

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

_BATCH = 64
_LISTS = ("labels", "terms")


class TextEncoderParams(FitParams):
    """Parameters of ``train.recipe.text_encoder``."""

    epochs: int = Field(20, ge=1, description="passes over the train split, at most")
    batch_size: int = Field(32, ge=1, description="examples of one step, over all workers together")
    learning_rate: float = Field(2e-3, gt=0, description="at its highest")
    max_tokens: int = Field(512, ge=16, le=65_536, description="so many first tokens of a text are read")
    max_vocabulary: int = Field(20_000, ge=1, description="terms with a vector of their own: those in most documents")
    min_df: int = Field(2, ge=1, description="documents that such a term occurs in at least")
    buckets: int = Field(1_000, ge=1, description="vectors that all rarer terms share, by hash")
    parts: bool = Field(True, description="a compound, as readCsv or read_csv, is also read as its parts")
    dimension: int = Field(96, ge=1, le=4096, description="of a term's vector")
    filters: int = Field(128, ge=1, le=4096, description="of each convolution")
    windows: tuple[int, ...] = Field((3,), min_length=1, description="terms that each convolution sees at a time")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of the features left out of each step")


@dataclass(frozen=True, slots=True)
class TextEncoderModel:
    """Terms in the order of their ids, labels in the order of the columns, weights as the network has them."""

    terms: list[str]
    labels: list[str]
    weights: list[np.ndarray]
    built: list[keras.Model] = field(default_factory=list, compare=False, repr=False)
    """The network, once something was predicted."""


@RECIPES.register("text_encoder")
class TextEncoder:
    """A small convolutional network over words, trained from scratch; needs no pretrained files.

    A text is its first ``max_tokens`` tokens. Their vectors, averaged over the text, and the strongest
    answer of each convolution anywhere in it go through one dense layer to the labels.
    """

    Params: ClassVar[type[Section]] = TextEncoderParams
    spread: ClassVar[str] = "mirrored"
    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "safetensors")
    columns: tuple[str, ...] = ()

    def __init__(self, params: TextEncoderParams, seed: int) -> None:
        self.params = params
        self._seed = seed
        self._words = Words(params.parts)

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        return _vocabulary.count(batches, self._words)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        return _vocabulary.combine(counts, least=self.params.min_df, most=rows, size=self.params.max_vocabulary)

    def fields(self) -> Mapping[str, Column]:
        return {"tokens": Column("int64", None), "label": Column("int64")}

    def encode(self, batches: Iterator[pa.Table], features: pa.Table) -> Iterator[Mapping[str, Sequence[Any]]]:
        ids = TokenIds.of(features["term"].to_pylist(), self.params.buckets)
        for batch, labels in _vocabulary.label_ids(batches, features):
            yield {"tokens": self._tokens(batch["text"].to_pylist(), ids), "label": labels}

    def network(self, features: pa.Table) -> keras.Model:
        return self._network(features.num_rows, len(_vocabulary.labels_of(features)))

    def inputs(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, np.ndarray]:
        import numpy as np

        rows = columns["tokens"]
        tokens = np.full((len(rows), self.params.max_tokens), PADDING, np.int32)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = ids[: self.params.max_tokens]
        arrays = {"tokens": tokens}
        if "label" in columns:
            arrays["label"] = np.asarray(columns["label"], np.int32)
        return arrays

    def losses(self, network: keras.Model, batch: Mapping[str, tf.Tensor], training: bool) -> Mapping[str, tf.Tensor]:
        import tensorflow as tf

        logits = network(batch["tokens"], training=training)
        hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), tf.cast(batch["label"], tf.int32))
        return {
            "loss": tf.nn.sparse_softmax_cross_entropy_with_logits(labels=batch["label"], logits=logits),
            "accuracy": tf.cast(hits, tf.float32),
        }

    def model(self, weights: Sequence[np.ndarray], features: pa.Table) -> TextEncoderModel:
        return TextEncoderModel(features["term"].to_pylist(), _vocabulary.labels_of(features), list(weights))

    def weights(self, model: TextEncoderModel) -> Sequence[np.ndarray]:
        return model.weights

    def merge(self, models: Sequence[TextEncoderModel], weights: Sequence[float]) -> TextEncoderModel:
        from tasks.models._merging import average

        first = models[0]
        return TextEncoderModel(first.terms, first.labels, average([model.weights for model in models], weights))

    def labels(self, model: TextEncoderModel) -> list[str]:
        return list(model.labels)

    def predict(self, model: TextEncoderModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        import numpy as np

        if not model.built:
            network = self._network(len(model.terms), len(model.labels))
            network.set_weights(model.weights)
            model.built.append(network)
        ids = TokenIds.of(model.terms, self.params.buckets)
        chances = np.zeros((len(texts), len(model.labels)))
        for start in range(0, len(texts), _BATCH):
            tokens = self.inputs({"tokens": self._tokens(texts[start : start + _BATCH], ids)})["tokens"]
            logits = np.asarray(model.built[0](tokens, training=False), np.float64)
            exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
            chances[start : start + _BATCH] = exponents / exponents.sum(axis=1, keepdims=True)
        return chances

    def facts(self, model: TextEncoderModel) -> dict[str, int]:
        """Parameters and terms."""
        return {"parameters": sum(array.size for array in model.weights), "vocabulary": len(model.terms)}

    def save(self, model: TextEncoderModel, folder: Path) -> None:
        from tasks.models import _tensors

        names = self._tensors(len(model.terms), len(model.labels))
        tensors = dict(zip(names, model.weights, strict=True))
        _tensors.write(folder, tensors, {"terms": model.terms, "labels": model.labels})

    def load(self, folder: Path) -> TextEncoderModel:
        from tasks.models import _tensors

        tensors, lists = _tensors.read(folder, _LISTS)
        layout = self._tensors(len(lists["terms"]), len(lists["labels"]))
        return TextEncoderModel(lists["terms"], lists["labels"], _tensors.checked(tensors, layout))

    def _tokens(self, texts: Sequence[str], ids: TokenIds) -> list[list[int]]:
        return [ids.ids(self._words.terms(text)[: self.params.max_tokens]) for text in texts]

    def _tensors(self, terms: int, labels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Name, kind and shape of each weight, in the network's order."""
        width, filters = self.params.dimension, self.params.filters
        shapes: dict[str, tuple[int, ...]] = {"embedding": (terms + 1 + self.params.buckets, width)}
        for window in self.params.windows:
            shapes |= {f"window_{window}.kernel": (window, width, filters), f"window_{window}.bias": (filters,)}
        wide = width + filters * len(self.params.windows)
        shapes |= {"labels.kernel": (wide, labels), "labels.bias": (labels,)}
        return {name: ("float32", shape) for name, shape in shapes.items()}

    def _network(self, terms: int, labels: int) -> keras.Model:
        import keras
        from keras import layers, ops

        params = self.params
        tokens = keras.Input((params.max_tokens,), dtype="int32", name="tokens")
        read = layers.Lambda(lambda t: ops.cast(ops.not_equal(t, PADDING), "float32")[..., None], name="read")(tokens)
        vectors = layers.Embedding(terms + 1 + params.buckets, params.dimension, name="embedding")(tokens)
        vectors = layers.Multiply()([vectors, read])
        mean = layers.Lambda(lambda v: ops.sum(v[0], 1) / ops.maximum(ops.sum(v[1], 1), 1))([vectors, read])
        seen = [mean]
        for window in params.windows:
            found = layers.Conv1D(params.filters, window, padding="same", activation="relu", name=f"window_{window}")(
                vectors
            )
            seen.append(layers.GlobalMaxPooling1D()(layers.Multiply()([found, read])))
        wide = layers.Dropout(params.dropout, seed=self._seed)(layers.Concatenate()(seen))
        return keras.Model(tokens, layers.Dense(labels, dtype="float32", name="labels")(wide), name="text_encoder")
