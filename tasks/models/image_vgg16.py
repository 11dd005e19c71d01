"""``image_vgg16``: what VGG16 sees in an image, and a small network that learns what to call it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tasks.errors import BadInput
from tasks.models import _vgg, _vocabulary
from tasks.models._fit import ClassFitParams
from tasks.models._focal import focal
from tasks.models._merging import average, by_name
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.models.base import Field as Column
from tasks.section import Section

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from tasks.models._tensors import Layout

_BATCH = 32
_SEEN = 512
"""Features of VGG16's last block."""
_HEAD = 6
"""Arrays of the layers behind the base."""


class Augment(Section):
    """Every image is seen a little differently in each epoch; shares are of its sides, or of a full turn."""

    flip: bool = Field(True, description="mirrored left to right, half of the time; not where that changes the meaning")
    shift: float = Field(0.1, ge=0, lt=1, description="moved by up to this share")
    rotate: float = Field(0.03, ge=0, le=0.5, description="turned by up to this share")
    zoom: float = Field(0.1, ge=0, lt=1, description="enlarged or made smaller by up to this share")


class ImageVgg16Params(ClassFitParams):
    """Parameters of ``train.recipe.image_vgg16``."""

    epochs: int = Field(20, ge=1, description="passes over the train split, at most")
    batch_size: int = Field(32, ge=1, description="examples of one step, over all workers together")
    learning_rate: float = Field(1e-3, gt=0, description="at its highest")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "cosine", description="how the learning rate falls to 0 by the last step, after the warm-up"
    )
    weights: str = Field(
        "imagenet",
        description="of the base: imagenet (from Keras's cache), a path or store URL of such a file, or random, "
        "which is for trying things out",
    )
    size: int = Field(224, ge=32, le=1024, description="pixels a side that an image is made for the network")
    fine_tune: int = Field(
        0, ge=0, le=_vgg.BLOCKS, description="so many last blocks of the base learn too; 0: it is frozen, and runs once"
    )
    augment: Augment | None = Field(
        None, description="change images in training; then a frozen base runs in each epoch"
    )
    hidden: int = Field(128, ge=1, le=8192, description="units between what is seen and what it is called")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of the features left out of each step")


@dataclass(frozen=True, slots=True)
class ImageModel:
    """Labels in the order of the columns; the weights of the base, then those of what is behind it."""

    names: list[str]
    weights: list[np.ndarray]
    built: list[keras.Model] = field(default_factory=list, compare=False, repr=False)
    """The network, once something was predicted."""


@RECIPES.register("image_vgg16")
class ImageVgg16:
    """Transfer learning on VGG16: first a frozen base, whose features are computed once, then fine-tuning.

    Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014. To tune what a
    frozen base has learned, train again with ``fine_tune`` and ``train.warm_start``.
    """

    Params: ClassVar[type[Section]] = ImageVgg16Params
    spread: ClassVar[str] = "mirrored"
    version: ClassVar[int] = 2
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "safetensors", "pillow")
    merges: ClassVar[tuple[str, ...]] = ("average", "vote")
    kinds: ClassVar[tuple[str, ...]] = ("images",)
    judge: ClassVar[str] = "ranked"
    columns: tuple[str, ...] = ("image",)

    def __init__(self, params: ImageVgg16Params, seed: int) -> None:
        self.params = params
        self._seed = seed % 2**32  # what Keras takes
        self._cached = not params.fine_tune and params.augment is None

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        import pyarrow as pa

        labels: Counter[str] = Counter()
        for batch in batches:
            labels.update(batch["label"].to_pylist())
        names = sorted(labels)
        columns = {
            "term": pa.array(names, pa.large_string()),
            "documents": pa.array([labels[name] for name in names], pa.int64()),
        }
        return _vocabulary.with_labels(pa.table(columns), labels)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        return _vocabulary.combine(counts, least=1, most=rows, size=rows)

    def files(self) -> Mapping[str, str]:
        """The file of the base's weights."""
        source = self.params.weights
        return {} if source == "random" else {source: _vgg.digest(source)}

    def fields(self) -> Mapping[str, Column]:
        seen = {"features": Column("float32", (_SEEN,))} if self._cached else {"image": Column("uint8", None)}
        return {**seen, "label": Column("int64")}

    def encode(self, batches: Iterator[pa.Table], features: pa.Table) -> Iterator[Mapping[str, Sequence[Any]]]:
        import numpy as np

        base = self._base() if self._cached else None
        for batch, labels in _vocabulary.label_ids(batches, features):
            images = batch["image"].to_pylist()
            if base is None:
                yield {"image": images, "label": labels}
                continue
            seen = [
                np.asarray(base(self._pixels(images[start : start + _BATCH]), training=False))
                for start in range(0, len(images), _BATCH)
            ]
            yield {"features": list(np.concatenate(seen)) if seen else [], "label": labels}

    def network(self, features: pa.Table) -> keras.Model:
        labels = len(_vocabulary.labels_of(features))
        return self._head(labels) if self._cached else self._whole(labels, trained=True)

    def inputs(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, np.ndarray]:
        import numpy as np

        if self._cached:
            arrays = {"seen": np.asarray(columns["features"], np.float32).reshape(-1, _SEEN)}
        else:
            arrays = {"seen": self._pixels(columns["image"])}
        if "label" in columns:
            arrays["label"] = np.asarray(columns["label"], np.int32)
        return arrays

    def losses(self, network: keras.Model, batch: Mapping[str, tf.Tensor], training: bool) -> Mapping[str, tf.Tensor]:
        import tensorflow as tf

        logits = tf.cast(network(batch["seen"], training=training), tf.float32)
        hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), tf.cast(batch["label"], tf.int32))
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=batch["label"], logits=logits)
        return {"loss": focal(loss, self.params.focal_gamma), "accuracy": tf.cast(hits, tf.float32)}

    def model(self, weights: Sequence[np.ndarray], features: pa.Table) -> ImageModel:
        before = self._base_weights() if self._cached else []
        return ImageModel(_vocabulary.labels_of(features), [*before, *weights])

    def warm(self, start: Sequence[np.ndarray], features: pa.Table, champion: ImageModel) -> Sequence[np.ndarray]:
        labels = _vocabulary.labels_of(features)
        base, head = champion.weights[:-_HEAD], champion.weights[-_HEAD:]
        *before, kernel, bias = start[-_HEAD:]
        if [array.shape for array in before] != [array.shape for array in head[:-2]]:
            raise BadInput("its hidden layer has another size")
        return [
            *([] if self._cached else base),
            *head[:-2],
            by_name(kernel, labels, head[-2], champion.names, axis=1),
            by_name(bias, labels, head[-1], champion.names),
        ]

    def merge(self, models: Sequence[ImageModel], weights: Sequence[float]) -> ImageModel:
        return ImageModel(models[0].names, average([model.weights for model in models], weights))

    def labels(self, model: ImageModel) -> list[str]:
        return list(model.names)

    def predict(self, model: ImageModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        import numpy as np

        if not model.built:
            network = self._whole(len(model.names), trained=False)
            network.set_weights(model.weights)
            model.built.append(network)
        images: Sequence[Any] = columns["image"]
        chances = np.zeros((len(images), len(model.names)))
        for start in range(0, len(images), _BATCH):
            pixels = self._pixels(images[start : start + _BATCH])
            logits = np.asarray(model.built[0](pixels, training=False), np.float64)
            exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
            chances[start : start + _BATCH] = exponents / exponents.sum(axis=1, keepdims=True)
        return chances

    def facts(self, model: ImageModel) -> dict[str, int]:
        """Parameters, the base's among them."""
        return {"parameters": sum(array.size for array in model.weights)}

    def save(self, model: ImageModel, folder: Path) -> None:
        from tasks.models import _tensors

        tensors = dict(zip(self._layout(len(model.names)), model.weights, strict=True))
        _tensors.write(folder, tensors, {"labels": model.names})

    def load(self, folder: Path) -> ImageModel:
        from tasks.models import _tensors

        tensors, lists = _tensors.read(folder, ("labels",))
        return ImageModel(lists["labels"], _tensors.checked(tensors, self._layout(len(lists["labels"]))))

    def _pixels(self, images: Sequence[Any]) -> np.ndarray:
        """Encoded images as uint8 of shape ``(images, size, size, 3)``."""
        import numpy as np
        from PIL import Image

        size = self.params.size
        pixels = np.zeros((len(images), size, size, 3), np.uint8)
        for place, encoded in enumerate(images):
            with Image.open(io.BytesIO(bytes(encoded))) as image:
                pixels[place] = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
        return pixels

    def _layout(self, labels: int) -> Layout:
        hidden = self.params.hidden
        shapes: dict[str, tuple[int, ...]] = {}
        for place, shape in enumerate(_vgg.shapes()):
            shapes[f"vgg16.{place // 2 + 1:02}.{'bias' if place % 2 else 'kernel'}"] = shape
        shapes |= {"norm.scale": (_SEEN,), "norm.shift": (_SEEN,)}
        shapes |= {"hidden.kernel": (_SEEN, hidden), "hidden.bias": (hidden,)}
        shapes |= {"labels.kernel": (hidden, labels), "labels.bias": (labels,)}
        return {name: ("float32", shape) for name, shape in shapes.items()}

    def _base_weights(self) -> list[np.ndarray]:
        return _vgg.weights(self.params.weights, _vgg.shapes(), self._seed)

    def _base(self) -> keras.Model:
        """From pixels to what the frozen base sees, with the weights that it starts with."""
        import keras

        pixels = keras.Input((self.params.size, self.params.size, 3), dtype="uint8", name="pixels")
        base = _vgg.base(self.params.size)
        base.set_weights(self._base_weights())
        return keras.Model(pixels, self._seen(base, _vgg.prepared(pixels)), name="seen")

    def _seen(self, base: keras.Model, prepared: Any) -> Any:
        from keras import layers

        return layers.GlobalAveragePooling2D(name="pooled")(base(prepared))

    def _whole(self, labels: int, *, trained: bool) -> keras.Model:
        """From pixels to labels; ``trained``: with the weights to start with, frozen and augmented as asked for."""
        import keras
        from keras import layers

        size, augment = self.params.size, self.params.augment
        pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
        changed = pixels
        if trained and augment:
            changed = layers.Rescaling(1.0, name="floats")(changed)
            if augment.flip:
                changed = layers.RandomFlip("horizontal", seed=self._seed)(changed)
            if augment.shift:
                changed = layers.RandomTranslation(augment.shift, augment.shift, "nearest", seed=self._seed)(changed)
            if augment.rotate:
                changed = layers.RandomRotation(augment.rotate, "nearest", seed=self._seed)(changed)
            if augment.zoom:
                changed = layers.RandomZoom(augment.zoom, fill_mode="nearest", seed=self._seed)(changed)
        base = _vgg.base(size)
        if trained:
            base.set_weights(self._base_weights())
        for layer in base.layers:
            layer.trainable = _vgg.block_of(layer.name) > _vgg.BLOCKS - self.params.fine_tune
        head = self._head(labels)
        return keras.Model(pixels, head(self._seen(base, _vgg.prepared(changed))), name="image_vgg16")

    def _head(self, labels: int) -> keras.Model:
        import keras
        from keras import layers

        from tasks.models._dropout import Dropout

        seen = keras.Input((_SEEN,), name="seen")
        # Normalised for each image alone: no statistics that workers could come apart by.
        wide = Dropout(self.params.dropout, seed=self._seed)(layers.LayerNormalization(name="norm")(seen))
        hidden = layers.Dense(self.params.hidden, activation="relu", name="hidden")(wide)
        return keras.Model(seen, layers.Dense(labels, dtype="float32", name="labels")(hidden), name="head")
