"""``logistic``: logistic regression over hashed words and categories; sigmoid for two labels, softmax for more."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tasks.errors import BadInput, Corrupt
from tasks.models import _vocabulary
from tasks.models._fit import ClassFitParams
from tasks.models._focal import focal
from tasks.models._merging import average, by_name
from tasks.models._tokens import Words, heaviest, padded
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.models.base import Field as Column
from tasks.section import Section

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from tasks.models._tensors import Layout

_BATCH = 256


class LogisticParams(ClassFitParams):
    """Parameters of ``train.recipe.logistic``."""

    epochs: int = Field(30, ge=1, description="passes over the train split, at most")
    batch_size: int = Field(32, ge=1, description="examples of one step, over all workers together")
    learning_rate: float = Field(0.4, gt=0, description="at its highest")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="how the learning rate falls to 0 by the last step, after the warm-up"
    )
    columns: tuple[Literal["uid", "group", "language"], ...] = Field(
        (), description="columns whose value is a feature beside the words, by hash"
    )
    bits: int = Field(18, ge=4, le=24, description="features are hashed into 2^bits; two that meet are one")
    min_df: int = Field(2, ge=1, description="documents that a feature occurs in at least")
    parts: bool = Field(True, description="a compound, as readCsv or read_csv, also counts as its parts")
    max_terms: int = Field(
        1024, ge=1, le=65_536, description="so many distinct features of a text count, heaviest first"
    )
    l2: float = Field(5e-6, ge=0, description="penalty: half of this times the sum of the squared weights")


@dataclass(frozen=True, slots=True)
class LogisticModel:
    """Hash of each feature, ascending, and its idf; labels; weights ``(features + 1, columns)`` and bias."""

    buckets: np.ndarray
    idf: np.ndarray
    labels: list[str]
    weights: list[np.ndarray]


@RECIPES.register("logistic")
class Logistic:
    """A linear model: fast, small, and hard to beat where a few words decide.

    A feature is the hash of a word, of a part of one, or of a column's value; those that the train split has often
    enough are weighted by (1 + ln count) x idf, and a text's by their norm.
    """

    Params: ClassVar[type[Section]] = LogisticParams
    spread: ClassVar[str] = "mirrored"
    version: ClassVar[int] = 3
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "safetensors")
    merges: ClassVar[tuple[str, ...]] = ("average", "vote")

    def __init__(self, params: LogisticParams, seed: int) -> None:
        self.params = params
        self.columns: tuple[str, ...] = params.columns
        self._words = Words(params.parts)

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        """``bucket`` (a feature's hash) and ``documents``, by bucket."""
        import pyarrow as pa

        documents: Counter[int] = Counter()
        labels: Counter[str] = Counter()
        for batch in batches:
            labels.update(batch["label"].to_pylist())
            for found in self._found(batch["text"].to_pylist(), self._values(batch)):
                documents.update(found.keys())
        buckets = sorted(documents)
        columns = {
            "bucket": pa.array(buckets, pa.int64()),
            "documents": pa.array([documents[bucket] for bucket in buckets], pa.int64()),
        }
        return _vocabulary.with_labels(pa.table(columns), labels)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        """``bucket``, ``documents`` and ``idf`` (float64) of the features in ``min_df`` documents and more."""
        size = 1 << self.params.bits
        kept = _vocabulary.combine(counts, by="bucket", least=self.params.min_df, most=rows, size=size)
        return _vocabulary.with_idf(kept, rows)

    def fields(self) -> Mapping[str, Column]:
        return {"ids": Column("int64", None), "values": Column("float32", None), "label": Column("int64")}

    def encode(self, batches: Iterator[pa.Table], features: pa.Table) -> Iterator[Mapping[str, Sequence[Any]]]:
        buckets, idf = features["bucket"].to_numpy(), features["idf"].to_numpy()
        for batch, labels in _vocabulary.label_ids(batches, features):
            yield {**self._encoded(batch["text"].to_pylist(), self._values(batch), buckets, idf), "label": labels}

    def network(self, features: pa.Table) -> keras.Model:
        return self._network(features.num_rows, len(_vocabulary.labels_of(features)))

    def inputs(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, np.ndarray]:
        import numpy as np

        arrays = {"ids": padded(columns["ids"], self.params.max_terms, np.int32)}
        arrays["values"] = padded(columns["values"], self.params.max_terms, np.float32)
        if "label" in columns:
            arrays["label"] = np.asarray(columns["label"], np.int32)
        return arrays

    def losses(self, network: keras.Model, batch: Mapping[str, tf.Tensor], training: bool) -> Mapping[str, tf.Tensor]:
        import tensorflow as tf

        logits = _logits(network, batch["ids"], batch["values"])
        label = tf.cast(batch["label"], tf.int32)
        if logits.shape[1] == 1:
            loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(label, tf.float32), logits=logits[:, 0])
            guess = tf.cast(logits[:, 0] > 0, tf.int32)
        else:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=logits)
            guess = tf.argmax(logits, axis=1, output_type=tf.int32)
        loss = focal(loss, self.params.focal_gamma)
        if self.params.l2 and training:
            # In every example's loss, so that the mean over a global batch has it once.
            loss += self.params.l2 * tf.nn.l2_loss(tf.convert_to_tensor(network.get_layer("weights").kernel))
        return {"loss": loss, "accuracy": tf.cast(tf.equal(guess, label), tf.float32)}

    def model(self, weights: Sequence[np.ndarray], features: pa.Table) -> LogisticModel:
        return LogisticModel(
            features["bucket"].to_numpy(), features["idf"].to_numpy(), _vocabulary.labels_of(features), list(weights)
        )

    def warm(self, start: Sequence[np.ndarray], features: pa.Table, champion: LogisticModel) -> Sequence[np.ndarray]:
        labels = _vocabulary.labels_of(features)
        if (len(labels) == 2 or len(champion.labels) == 2) and labels != champion.labels:
            raise BadInput(f"it tells {', '.join(champion.labels)} apart, this network {', '.join(labels)}")
        import numpy as np

        kernel, bias = start
        theirs, their_bias = champion.weights
        columns = labels if len(labels) > 2 else [""]
        known = champion.labels if len(labels) > 2 else [""]
        # Row by row through an array that has the champion's rows and this network's columns.
        wide = np.zeros((len(theirs), len(columns)), np.float32)
        rows = by_name(wide, columns, theirs, known, axis=1)
        new = [column for column, name in enumerate(columns) if name not in known]
        warmed = by_name(kernel, [-1, *features["bucket"].to_pylist()], rows, [-1, *champion.buckets.tolist()])
        warmed[:, new] = kernel[:, new]
        return [warmed, by_name(bias, columns, their_bias, known)]

    def merge(self, models: Sequence[LogisticModel], weights: Sequence[float]) -> LogisticModel:
        first = models[0]
        averaged = average([model.weights for model in models], weights)
        return LogisticModel(first.buckets, first.idf, first.labels, averaged)

    def labels(self, model: LogisticModel) -> list[str]:
        return list(model.labels)

    def predict(self, model: LogisticModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        """Sums of a few weights a row: done in numpy, where a start of TensorFlow would cost more than the work."""
        import numpy as np

        table, bias = model.weights
        values = [columns[name] for name in self.columns]
        chances = np.zeros((len(texts), len(model.labels)))
        for start in range(0, len(texts), _BATCH):
            end = start + _BATCH
            found = self._encoded(texts[start:end], [v[start:end] for v in values], model.buckets, model.idf)
            for row, (ids, weights) in enumerate(zip(found["ids"], found["values"], strict=True), start):
                logits = np.asarray(weights, np.float32) @ table[ids] + bias
                chances[row] = _chances(logits.astype(np.float64))
        return chances

    def facts(self, model: LogisticModel) -> dict[str, int]:
        """Parameters and features."""
        return {"parameters": sum(array.size for array in model.weights), "vocabulary": len(model.buckets)}

    def save(self, model: LogisticModel, folder: Path) -> None:
        from tasks.models import _tensors

        names = self._layout(len(model.buckets), len(model.labels))
        arrays = [model.buckets, model.idf, *model.weights]
        _tensors.write(folder, dict(zip(names, arrays, strict=True)), {"labels": model.labels})

    def load(self, folder: Path) -> LogisticModel:
        import numpy as np

        from tasks.models import _tensors

        tensors, lists = _tensors.read(folder, ("labels",))
        features = len(tensors["buckets"]) if "buckets" in tensors and tensors["buckets"].ndim else 0
        buckets, idf, *weights = _tensors.checked(tensors, self._layout(features, len(lists["labels"])))
        if not (np.diff(buckets) > 0).all():
            raise Corrupt(f"{_tensors.TENSORS}: buckets are not ascending")
        return LogisticModel(buckets, idf, lists["labels"], weights)

    def _values(self, batch: pa.Table) -> list[Sequence[str | None]]:
        return [batch[name].to_pylist() for name in self.columns]

    def _found(self, texts: Sequence[str], values: Sequence[Sequence[str | None]]) -> Iterator[Counter[int]]:
        """How often each feature occurs in each row, by hash."""
        for row, text in enumerate(texts):
            yield Counter(
                [
                    *(self._bucket(term) for term in self._words.terms(text)),
                    # A zero byte is in no word: a column's value never is a word's feature by name.
                    *(
                        self._bucket(f"{name}\0{value[row]}")
                        for name, value in zip(self.columns, values, strict=True)
                        if value[row] is not None
                    ),
                ]
            )

    def _bucket(self, feature: str) -> int:
        return zlib.crc32(feature.encode(errors="surrogatepass")) & ((1 << self.params.bits) - 1)

    def _encoded(
        self, texts: Sequence[str], values: Sequence[Sequence[str | None]], buckets: np.ndarray, idf: np.ndarray
    ) -> dict[str, list[np.ndarray]]:
        """Ids (a feature's place, from 1) and weights of each row's known features, the heaviest first."""
        import numpy as np

        rows: dict[str, list[np.ndarray]] = {"ids": [], "values": []}
        for found in self._found(texts, values):
            hashes = np.fromiter(found.keys(), np.int64, len(found))
            counts = np.fromiter(found.values(), np.float64, len(found))
            places = np.searchsorted(buckets, hashes)
            places[places == len(buckets)] = 0
            known = buckets[places] == hashes
            kept, weights = heaviest(places[known], counts[known], idf[places[known]], self.params.max_terms)
            rows["ids"].append(kept + 1)
            rows["values"].append(weights)
        return rows

    def _layout(self, features: int, labels: int) -> Layout:
        """Name, kind and shape of what a model's file holds: the weights last, in the network's order."""
        columns = _columns(labels)
        return {
            "buckets": ("int64", (features,)),
            "idf": ("float64", (features,)),
            "weights": ("float32", (features + 1, columns)),
            "bias": ("float32", (columns,)),
        }

    def _network(self, features: int, labels: int) -> keras.Model:
        import keras

        layer = keras.layers.Dense(_columns(labels), kernel_initializer="zeros", dtype="float32", name="weights")
        return keras.Sequential([keras.Input((features + 1,)), layer], name="logistic")


def _logits(network: keras.Model, ids: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """What the network says of rows given as (id, value) pairs: a row of its input would be zeros but for those.

    The product with a sparse matrix has a dense gradient. Looking vectors up by id has IndexedSlices, which were
    slower (17 against 3 ms a step of 64 rows over 20,000 features and 11 labels), and which Keras's Adam
    squares id by id where an id occurs twice: another, worse model.
    """
    import tensorflow as tf

    layer = network.get_layer("weights")
    rows, width = tf.shape(ids)[0], ids.shape[1]
    places = tf.stack([tf.repeat(tf.range(rows), width), tf.reshape(ids, [-1])], axis=1)
    shape = tf.stack([rows, layer.kernel.shape[0]])
    sparse = tf.SparseTensor(tf.cast(places, tf.int64), tf.reshape(values, [-1]), tf.cast(shape, tf.int64))
    return tf.sparse.sparse_dense_matmul(sparse, tf.convert_to_tensor(layer.kernel)) + layer.bias


def _columns(labels: int) -> int:
    return 1 if labels == 2 else labels


def _chances(logits: np.ndarray) -> np.ndarray:
    """Probabilities of one row's labels: of two, the second's is the logistic function of the only logit."""
    import numpy as np

    if len(logits) == 1:
        logits = np.array([0.0, logits[0]])
    exponents = np.exp(logits - logits.max())
    return np.asarray(exponents / exponents.sum())
