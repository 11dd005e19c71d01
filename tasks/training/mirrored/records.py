"""Encoded examples as TFRecord files of ``tf.train.Example``, and back as arrays on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from tasks.errors import BadInput, Corrupt
from tasks.models.base import Field

if TYPE_CHECKING:
    import tensorflow as tf
    from numpy.typing import NDArray

_BATCH = 1024


def write(path: Path, fields: Mapping[str, Field], batches: Iterable[Mapping[str, Sequence[Any]]]) -> int:
    """Write the examples of ``batches``, columns of ``fields``; returns how many. Equal examples, equal bytes.

    Raises:
        BadInput: the recipe's columns are not its fields, or of different lengths.
    """
    import tensorflow as tf

    written = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for columns in batches:
            for example in _examples(fields, columns):
                writer.write(example.SerializeToString(deterministic=True))  # a map has no order of its own
                written += 1
    return written


def _examples(fields: Mapping[str, Field], columns: Mapping[str, Sequence[Any]]) -> Iterable[tf.train.Example]:
    import tensorflow as tf

    if set(columns) != set(fields):
        raise BadInput(f"the recipe encodes columns {sorted(columns)}, its fields are {sorted(fields)}")
    if len({len(column) for column in columns.values()}) > 1:
        raise BadInput(f"the recipe's columns differ in length: { {name: len(c) for name, c in columns.items()} }")
    names = sorted(fields)
    for row in zip(*(columns[name] for name in names), strict=True):
        features = {name: _feature(fields[name], name, value) for name, value in zip(names, row, strict=True)}
        yield tf.train.Example(features=tf.train.Features(feature=features))


def _feature(field: Field, name: str, value: Any) -> tf.train.Feature:
    import tensorflow as tf

    if field.dtype == "uint8":
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes(value)]))
    flat = np.asarray(value, field.dtype)
    if field.shape is not None and flat.shape != field.shape:
        raise BadInput(f"the recipe encodes {name} with shape {flat.shape}, its field says {field.shape}")
    if field.dtype == "int64":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=flat.ravel()))
    return tf.train.Feature(float_list=tf.train.FloatList(value=flat.ravel()))


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the examples of a file, mapped from disk: memory stays bounded whatever its size."""

    values: NDArray[Any]
    """Shape ``(rows, *shape)``, or all lists one after the other."""
    offsets: NDArray[np.int64] | None
    """Where each list begins, and the end; None where every row has one shape."""

    def take(self, rows: NDArray[np.int64]) -> Sequence[Any]:
        """These rows, as the recipe's ``encode`` gave them."""
        if self.offsets is None:
            return np.asarray(self.values[rows])  # type: ignore[return-value]  # as good as a sequence
        return [np.asarray(self.values[self.offsets[row] : self.offsets[row + 1]]) for row in rows]


def decode(path: Path, fields: Mapping[str, Field], folder: Path, rows: int) -> dict[str, Column]:
    """Decode a TFRecord file once, into plain arrays below ``folder``, a batch at a time.

    Raises:
        Corrupt: the file does not hold ``rows`` examples of these fields.
    """
    import tensorflow as tf

    folder.mkdir(parents=True)
    features = {
        name: tf.io.FixedLenFeature((), tf.string)
        if field.dtype == "uint8"
        else tf.io.RaggedFeature(field.dtype)
        if field.shape is None
        else tf.io.FixedLenFeature(field.shape, field.dtype)
        for name, field in fields.items()
    }
    lengths: dict[str, list[NDArray[np.int64]]] = {name: [np.zeros(1, np.int64)] for name in fields}
    found = 0
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {name: stack.enter_context((folder / name).open("wb")) for name in fields}
        try:
            for records in tf.data.TFRecordDataset(str(path)).batch(_BATCH):
                found += int(records.shape[0])
                for name, value in tf.io.parse_example(records, features).items():
                    if fields[name].dtype == "uint8":
                        whole = value.numpy()
                        lengths[name].append(np.array([len(each) for each in whole], np.int64))
                        files[name].write(b"".join(whole))
                        continue
                    if fields[name].shape is None:
                        lengths[name].append(value.row_lengths().numpy())
                        value = value.flat_values
                    files[name].write(value.numpy().tobytes())
        except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
            raise Corrupt(f"{path.name} holds other examples than the recipe encodes: {error.message}") from error
    if found != rows:
        raise Corrupt(f"{path.name} holds {found} examples, its manifest says {rows}")
    return {name: _column(folder / name, field, rows, lengths[name]) for name, field in fields.items()}


def _column(path: Path, field: Field, rows: int, lengths: list[NDArray[np.int64]]) -> Column:
    if field.shape is None:
        offsets = np.cumsum(np.concatenate(lengths))
        return Column(_mapped(path, field.dtype, (int(offsets[-1]),)), offsets)
    return Column(_mapped(path, field.dtype, (rows, *field.shape)), None)


def _mapped(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if not path.stat().st_size:  # nothing cannot be mapped
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", shape=shape)
