"""``text_encoder``: words and their parts as vectors; what a text is about, and what stands out in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from tasks.errors import BadInput
from tasks.models import _vocabulary
from tasks.models._fit import ClassFitParams
from tasks.models._focal import focal
from tasks.models._merging import average, by_name
from tasks.models._tokens import PADDING, TokenIds, Words, heaviest, padded
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.models.base import Field as Column
from tasks.section import Section

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from tasks.models._tensors import Layout

_BATCH = 64
_INPUTS = ("tokens", "terms", "values")


class TextEncoderParams(ClassFitParams):
    """Parameters of ``train.recipe.text_encoder``."""

    epochs: int = Field(12, ge=1, description="passes over the train split, at most")
    batch_size: int = Field(32, ge=1, description="examples of one step, over all workers together")
    learning_rate: float = Field(5e-3, gt=0, description="at its highest")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="how the learning rate falls to 0 by the last step, after the warm-up"
    )
    max_tokens: int = Field(256, ge=1, le=65_536, description="so many first tokens of a text are read in order")
    max_terms: int = Field(512, ge=1, le=65_536, description="so many distinct terms of a text count, heaviest first")
    max_vocabulary: int = Field(20_000, ge=1, description="terms with a vector of their own: those in most documents")
    min_df: int = Field(2, ge=1, description="documents that such a term occurs in at least")
    buckets: int = Field(1_000, ge=1, description="vectors that all rarer terms share, by hash")
    parts: bool = Field(True, description="a compound, as readCsv or read_csv, is also read as its parts")
    dimension: int = Field(64, ge=1, le=4096, description="of a term's vector")
    filters: int = Field(64, ge=1, le=4096, description="of each convolution")
    windows: tuple[int, ...] = Field((3,), min_length=1, description="terms that each convolution sees at a time")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of the features left out of each step")

    @field_validator("windows")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value) or min(value) < 1:
            raise ValueError(f"windows {list(value)}: each must be 1 or more, and none twice")
        return value


@dataclass(frozen=True, slots=True)
class TextEncoderModel:
    """Terms in the order of their ids with their idf, labels in that of the columns, weights as the network has."""

    terms: list[str]
    idf: np.ndarray
    labels: list[str]
    weights: list[np.ndarray]
    built: list[keras.Model] = field(default_factory=list, compare=False, repr=False)
    """The network, once something was predicted."""


@RECIPES.register("text_encoder")
class TextEncoder:
    """A small convolutional network over words, trained from scratch; needs no pretrained files.

    Two readings of a text go through one dense layer to the labels: the sum of the vectors of all its terms,
    weighted by (1 + ln count) x idf and their norm, and the strongest answer of each convolution anywhere
    in its first ``max_tokens`` tokens (Kim, Convolutional Neural Networks for Sentence Classification, 2014).
    """

    Params: ClassVar[type[Section]] = TextEncoderParams
    spread: ClassVar[str] = "mirrored"
    version: ClassVar[int] = 4
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "safetensors")
    merges: ClassVar[tuple[str, ...]] = ("average", "vote")
    columns: tuple[str, ...] = ()

    def __init__(self, params: TextEncoderParams, seed: int) -> None:
        self.params = params
        self._seed = seed % 2**32  # what Keras takes
        self._words = Words(params.parts)

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        return _vocabulary.count(batches, self._words)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        terms = _vocabulary.combine(counts, least=self.params.min_df, most=rows, size=self.params.max_vocabulary)
        return _vocabulary.with_idf(terms, rows)

    def fields(self) -> Mapping[str, Column]:
        varying = {"tokens": Column("int64", None), "terms": Column("int64", None), "values": Column("float32", None)}
        return {**varying, "label": Column("int64")}

    def encode(self, batches: Iterator[pa.Table], features: pa.Table) -> Iterator[Mapping[str, Sequence[Any]]]:
        ids, idf = TokenIds.of(features["term"].to_pylist(), self.params.buckets), features["idf"].to_numpy()
        for batch, labels in _vocabulary.label_ids(batches, features):
            yield {**self._read(batch["text"].to_pylist(), ids, idf), "label": labels}

    def network(self, features: pa.Table) -> keras.Model:
        return self._network(features.num_rows, len(_vocabulary.labels_of(features)))

    def inputs(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, np.ndarray]:
        import numpy as np

        arrays = {"tokens": padded(columns["tokens"], self.params.max_tokens, np.int32)}
        arrays["terms"] = padded(columns["terms"], self.params.max_terms, np.int32)
        arrays["values"] = padded(columns["values"], self.params.max_terms, np.float32)
        if "label" in columns:
            arrays["label"] = np.asarray(columns["label"], np.int32)
        return arrays

    def losses(self, network: keras.Model, batch: Mapping[str, tf.Tensor], training: bool) -> Mapping[str, tf.Tensor]:
        import tensorflow as tf

        logits = network({name: batch[name] for name in _INPUTS}, training=training)
        hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), tf.cast(batch["label"], tf.int32))
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=batch["label"], logits=logits)
        return {"loss": focal(loss, self.params.focal_gamma), "accuracy": tf.cast(hits, tf.float32)}

    def model(self, weights: Sequence[np.ndarray], features: pa.Table) -> TextEncoderModel:
        terms, idf = features["term"].to_pylist(), features["idf"].to_numpy()
        return TextEncoderModel(terms, idf, _vocabulary.labels_of(features), list(weights))

    def warm(self, start: Sequence[np.ndarray], features: pa.Table, champion: TextEncoderModel) -> Sequence[np.ndarray]:
        labels = _vocabulary.labels_of(features)
        embedding, *convolutions, kernel, bias = start
        theirs = champion.weights
        if [w.shape for w in convolutions] != [w.shape for w in theirs[1:-2]]:
            raise BadInput("its convolutions have other windows or filters")
        # Padding and the vectors that rare terms share have no name but their number.
        mine = [PADDING, *features["term"].to_pylist(), *range(1, 1 + self.params.buckets)]
        known = [PADDING, *champion.terms, *range(1, len(theirs[0]) - len(champion.terms))]
        return [
            by_name(embedding, mine, theirs[0], known),
            *theirs[1:-2],
            by_name(kernel, labels, theirs[-2], champion.labels, axis=1),
            by_name(bias, labels, theirs[-1], champion.labels),
        ]

    def merge(self, models: Sequence[TextEncoderModel], weights: Sequence[float]) -> TextEncoderModel:
        first = models[0]
        averaged = average([model.weights for model in models], weights)
        return TextEncoderModel(first.terms, first.idf, first.labels, averaged)

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
            inputs = self.inputs(self._read(texts[start : start + _BATCH], ids, model.idf))
            logits = np.asarray(model.built[0](inputs, training=False), np.float64)
            exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
            chances[start : start + _BATCH] = exponents / exponents.sum(axis=1, keepdims=True)
        return chances

    def facts(self, model: TextEncoderModel) -> dict[str, int]:
        """Parameters and terms."""
        return {"parameters": sum(array.size for array in model.weights), "vocabulary": len(model.terms)}

    def save(self, model: TextEncoderModel, folder: Path) -> None:
        from tasks.models import _tensors

        layout = self._layout(len(model.terms), len(model.labels))
        tensors = dict(zip(layout, [model.idf, *model.weights], strict=True))
        _tensors.write(folder, tensors, {"terms": model.terms, "labels": model.labels})

    def load(self, folder: Path) -> TextEncoderModel:
        from tasks.models import _tensors

        tensors, lists = _tensors.read(folder, ("labels", "terms"))
        layout = self._layout(len(lists["terms"]), len(lists["labels"]))
        idf, *weights = _tensors.checked(tensors, layout)
        return TextEncoderModel(lists["terms"], idf, lists["labels"], weights)

    def _read(self, texts: Sequence[str], ids: TokenIds, idf: np.ndarray) -> dict[str, list[Any]]:
        import numpy as np

        columns: dict[str, list[Any]] = {name: [] for name in _INPUTS}
        for text in texts:
            terms = self._words.terms(text)
            columns["tokens"].append(ids.ids(terms[: self.params.max_tokens]))
            counts = Counter(place for term in terms if (place := ids.index.get(term)))
            places = np.fromiter(counts.keys(), np.int64, len(counts))
            occurrences = np.fromiter(counts.values(), np.float64, len(counts))
            kept, values = heaviest(places, occurrences, idf[places - 1], self.params.max_terms)
            columns["terms"].append(kept)
            columns["values"].append(values)
        return columns

    def _layout(self, terms: int, labels: int) -> Layout:
        """What a model's file holds: the weights last, in the network's order."""
        width, filters = self.params.dimension, self.params.filters
        shapes: dict[str, tuple[int, ...]] = {"embedding": (terms + 1 + self.params.buckets, width)}
        for window in self.params.windows:
            shapes |= {f"window_{window}.kernel": (window, width, filters), f"window_{window}.bias": (filters,)}
        wide = width + filters * len(self.params.windows)
        shapes |= {"labels.kernel": (wide, labels), "labels.bias": (labels,)}
        return {"idf": ("float64", (terms,)), **{name: ("float32", shape) for name, shape in shapes.items()}}

    def _network(self, terms: int, labels: int) -> keras.Model:
        import keras
        from keras import layers, ops

        from tasks.models._dropout import Dropout

        params = self.params
        inputs = {
            "tokens": keras.Input((params.max_tokens,), dtype="int32", name="tokens"),
            "terms": keras.Input((params.max_terms,), dtype="int32", name="terms"),
            "values": keras.Input((params.max_terms,), dtype="float32", name="values"),
        }
        # Of norm 1 on average, so that a sum weighted by a norm of 1 has it too.
        start = keras.initializers.RandomNormal(stddev=params.dimension**-0.5, seed=self._seed)
        embedding = layers.Embedding(
            terms + 1 + params.buckets, params.dimension, embeddings_initializer=start, name="embedding"
        )
        about = layers.Dot(axes=1, name="about")([embedding(inputs["terms"]), inputs["values"]])
        said = layers.Lambda(lambda t: ops.cast(ops.not_equal(t, PADDING), "float32")[..., None], name="said")
        mask = said(inputs["tokens"])
        vectors = layers.Multiply(name="vectors")([embedding(inputs["tokens"]), mask])
        readings = [about]
        for window in params.windows:
            convolution = layers.Conv1D(
                params.filters, window, padding="same", activation="relu", name=f"window_{window}"
            )
            readings.append(layers.GlobalMaxPooling1D()(layers.Multiply()([convolution(vectors), mask])))
        wide = Dropout(params.dropout, seed=self._seed)(layers.Concatenate()(readings))
        logits = layers.Dense(labels, dtype="float32", name="labels")(wide)
        return keras.Model(inputs, logits, name="text_encoder")
