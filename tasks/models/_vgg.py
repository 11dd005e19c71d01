"""VGG16 as a base: where its weights come from, and where it is cut."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import BadInput, Lacking

if TYPE_CHECKING:
    import keras
    import numpy as np

CACHED = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
"""The name under which Keras keeps ImageNet's weights without the last layers."""
BLOCKS = 5
_FILTERS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
MEANS = (103.939, 116.779, 123.68)
"""Of ImageNet's images by channel, blue first, as VGG16 was trained with (Simonyan and Zisserman, 2014)."""


def base(size: int) -> keras.Model:
    """VGG16 up to its last pooling, for images of ``size`` x ``size`` pixels, with whatever weights."""
    import keras

    return keras.applications.VGG16(include_top=False, weights=None, input_shape=(size, size, 3), name="vgg16")


def shapes() -> list[tuple[int, ...]]:
    """Of the base's arrays, kernel and bias of each convolution in turn; the same for images of any size."""
    found: list[tuple[int, ...]] = []
    before = 3
    for filters in _FILTERS:
        found += [(3, 3, before, filters), (filters,)]
        before = filters
    return found


def block_of(layer: str) -> int:
    """The number of the block that a layer of the base belongs to, from its name: ``block3_conv1``."""
    return int(layer[5]) if layer.startswith("block") else 0


def prepared(pixels: Any) -> Any:
    """Pixels as the base takes them: blue first, around the means of what it was trained with."""
    from keras import ops

    return ops.cast(pixels, "float32")[..., ::-1] - ops.convert_to_tensor(MEANS, "float32")


def weights(source: str, shapes: Sequence[tuple[int, ...]], seed: int) -> list[np.ndarray]:
    """The weights of the base's layers, in their order.

    ``source``: ``imagenet`` (from Keras's cache), ``random``, or a path or store URL of such a file.

    Raises:
        BadInput: the file holds other weights.
        Lacking: it is not there.
    """
    import numpy as np

    if source == "random":
        # He et al., Delving Deep into Rectifiers, 2015: what keeps the scale through thirteen layers. Of the seed
        # alone, so that whoever asks gets the same.
        draw = np.random.default_rng(seed)
        return [
            (draw.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))).astype(np.float32)
            if len(shape) > 1
            else np.zeros(shape, np.float32)
            for shape in shapes
        ]
    with tempfile.TemporaryDirectory(prefix="nightshift-weights-") as scratch:
        found = _read(_local(source, Path(scratch)))
    if [array.shape for array in found] != list(shapes):
        raise BadInput(f"train.recipe.image_vgg16.weights {source!r}: not the weights of VGG16 without its last layers")
    return found


def digest(source: str) -> str:
    """sha256 (hex) of the file that ``source`` means; not of ``random``.

    Raises:
        Lacking: it is not there.
    """
    with (
        tempfile.TemporaryDirectory(prefix="nightshift-weights-") as scratch,
        _local(source, Path(scratch)).open("rb") as file,
    ):
        return hashlib.file_digest(file, "sha256").hexdigest()


def _local(source: str, scratch: Path) -> Path:
    if source == "imagenet":
        folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
        path = folder / "models" / CACHED
        if not path.is_file():
            raise Lacking(
                f"train.recipe.image_vgg16.weights is imagenet, but {path} is not there, and a training downloads "
                f"nothing: put Keras's {CACHED} there (keras.applications.VGG16(include_top=False) does, where there "
                "is a network), name a path or store URL of it, or ask for `weights: random`"
            )
        return path
    if "://" not in source:
        if not Path(source).is_file():
            raise Lacking(f"train.recipe.image_vgg16.weights: no file {source}")
        return Path(source)
    from tasks.store import open_store

    place, _, name = source.rpartition("/")
    store = open_store(place, os.environ)
    if store.stat(name) is None:
        raise Lacking(f"train.recipe.image_vgg16.weights: nothing at {source}")
    path = scratch / CACHED
    store.download(name, path)
    return path


def _read(path: Path) -> list[np.ndarray]:
    """Kernel and bias of each convolution, in the order of the blocks."""
    import h5py  # type: ignore[import-untyped]
    import numpy as np

    try:
        with h5py.File(path) as file:
            layers: Any = file
            names = [name for name in sorted(layers) if "conv" in name]
            found = []
            for name in names:
                arrays: list[Any] = []
                layers[name].visititems(
                    lambda _, item, into=arrays: into.append(item) if hasattr(item, "shape") else None
                )
                # A kernel has four dimensions, a bias one.
                found += [np.asarray(each, np.float32) for each in sorted(arrays, key=lambda each: -len(each.shape))]
            return found
    except OSError as error:
        raise BadInput(f"train.recipe.image_vgg16.weights: {path} is no HDF5 file: {error}") from error
