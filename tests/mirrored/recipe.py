"""``tiny``: a mirrored recipe that trains in seconds, and can be made to misbehave."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from zlib import crc32

import numpy as np
import pyarrow as pa
import pydantic

from tasks.models._fit import FitParams
from tasks.models.base import NO_COLUMNS, RECIPES, Columns, Field
from tasks.section import Section

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_BUCKETS, _WORDS = 64, 8


class TinyParams(FitParams):
    """Parameters of ``tiny``."""

    epochs: int = pydantic.Field(3, ge=1)
    batch_size: int = pydantic.Field(6, ge=1)
    learning_rate: float = pydantic.Field(1e-2, gt=0)
    dropout: float = 0.0
    layer: Literal["none", "batch_norm", "dropout", "drifting"] = "none"
    pause: float = 0.0
    """Seconds that making a batch takes."""


@dataclass(frozen=True)
class TinyModel:
    labels: list[str]
    arrays: list[np.ndarray]


@RECIPES.register("tiny")
class Tiny:
    """Words hashed to a few vectors, their mean, one dense layer."""

    Params: ClassVar[type[Section]] = TinyParams
    spread: ClassVar[str] = "mirrored"
    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras")
    columns: tuple[str, ...] = ()
    merges: ClassVar[tuple[str, ...]] = ("average", "vote")

    def __init__(self, params: TinyParams, seed: int) -> None:
        self.params = params
        self.seed = seed

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        counted = Counter(label for batch in batches for label in batch["label"].to_pylist())
        return pa.table(
            {"label": pa.array(sorted(counted), pa.string()), "rows": pa.array([counted[k] for k in sorted(counted)])}
        )

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        labels = sorted({label for table in counts for label in table["label"].to_pylist()})
        return pa.table({"label": pa.array(labels, pa.string())})

    def fields(self) -> Mapping[str, Field]:
        return {"words": Field("int64", None), "length": Field("float32"), "label": Field("int64")}

    def encode(self, batches: Iterator[pa.Table], features: pa.Table) -> Iterator[Mapping[str, Sequence[Any]]]:
        known = {label: i for i, label in enumerate(features["label"].to_pylist())}
        for batch in batches:
            rows = [row for row in batch.to_pylist() if row["label"] in known]
            words = [[1 + crc32(word.encode()) % (_BUCKETS - 1) for word in row["text"].split()] for row in rows]
            yield {
                "words": words,
                "length": [float(len(each)) for each in words],
                "label": [known[row["label"]] for row in rows],
            }

    def network(self, features: pa.Table) -> keras.Model:
        import keras

        from tasks.models._dropout import Dropout

        words = keras.Input((_WORDS,), dtype="int32")
        vector = keras.layers.Embedding(_BUCKETS, 8, name="words")(words)
        vector = keras.layers.Flatten()(vector)
        if self.params.layer == "batch_norm":
            vector = keras.layers.BatchNormalization(name="normal")(vector)
        if self.params.layer == "dropout":
            vector = keras.layers.Dropout(0.1, name="own")(vector)
        if self.params.layer == "drifting":
            from tests.mirrored.drifting import Drifting

            vector = Drifting()(vector)
        vector = Dropout(self.params.dropout, seed=7)(vector)
        return keras.Model(words, keras.layers.Dense(features.num_rows, dtype="float32")(vector))

    def inputs(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, np.ndarray]:
        time.sleep(self.params.pause)
        words = np.zeros((len(columns["words"]), _WORDS), np.int32)
        for row, each in zip(words, columns["words"], strict=True):
            row[: len(each)] = each[:_WORDS]
        return {"words": words, "label": np.asarray(columns["label"], np.int32)}

    def losses(self, network: keras.Model, batch: Mapping[str, tf.Tensor], training: bool) -> Mapping[str, tf.Tensor]:
        import tensorflow as tf

        logits = network(batch["words"], training=training)
        hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), batch["label"])
        return {
            "loss": tf.nn.sparse_softmax_cross_entropy_with_logits(labels=batch["label"], logits=logits),
            "accuracy": tf.cast(hits, tf.float32),
        }

    def model(self, weights: Sequence[np.ndarray], features: pa.Table) -> TinyModel:
        return TinyModel(features["label"].to_pylist(), list(weights))

    def warm(self, start: Sequence[np.ndarray], features: pa.Table, champion: TinyModel) -> Sequence[np.ndarray]:
        return champion.arrays

    def merge(self, models: Sequence[TinyModel], weights: Sequence[float]) -> TinyModel:
        from tasks.models._merging import average

        return TinyModel(models[0].labels, average([model.arrays for model in models], weights))

    def labels(self, model: TinyModel) -> list[str]:
        return model.labels

    def predict(self, model: TinyModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        table = pa.table({"text": pa.array(list(texts), pa.string()), "label": [model.labels[0]] * len(texts)})
        features = pa.table({"label": pa.array(model.labels, pa.string())})
        (encoded,) = self.encode(iter([table]), features)
        words = self.inputs(encoded)["words"]
        vectors, kernel, bias = model.arrays
        logits = vectors[words].reshape(len(words), -1).astype(np.float64) @ kernel + bias
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))

    def facts(self, model: TinyModel) -> dict[str, int]:
        return {"parameters": sum(array.size for array in model.arrays)}

    def save(self, model: TinyModel, folder: Path) -> None:
        from safetensors.numpy import save_file

        (folder / "labels.txt").write_text("\n".join(model.labels))
        save_file({str(i): array for i, array in enumerate(model.arrays)}, folder / "model.safetensors")

    def load(self, folder: Path) -> TinyModel:
        from safetensors.numpy import load_file

        arrays = load_file(folder / "model.safetensors")
        labels = (folder / "labels.txt").read_text().split("\n")
        return TinyModel(labels, [arrays[str(i)] for i in range(len(arrays))])
