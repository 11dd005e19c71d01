"""Rows of a Parquet file as TFRecord of ``tf.train.Example``, for a snapshot that is to have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import Lacking
from tasks.parquet import batches

if TYPE_CHECKING:
    import tensorflow as tf


def write(rows: Path, path: Path, columns: Sequence[str]) -> None:
    """Write ``columns`` of a Parquet file, bytes, texts or integers, to ``path``; a missing value is no feature.

    Raises:
        Lacking: TensorFlow cannot be imported here; it takes seconds to load, so it is for those who ask for its files.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise Lacking(
            f"kind.images.tfrecord: TensorFlow writes these files and cannot be imported here ({error}): in pods, name "
            "an image that has it in kubernetes.trainer_image; or leave `tfrecord` out"
        ) from error
    with tf.io.TFRecordWriter(str(path)) as writer:
        for table in batches(rows, list(columns)):
            for row in table.to_pylist():
                writer.write(example(row).SerializeToString(deterministic=True))  # a map has no order of its own


def example(values: Mapping[str, bytes | str | int | None]) -> tf.train.Example:
    """A feature of one value for each that is not None."""
    import tensorflow as tf

    def feature(value: bytes | str | int) -> tf.train.Feature:
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        data = value.encode() if isinstance(value, str) else value
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))

    made = {name: feature(value) for name, value in values.items() if value is not None}
    return tf.train.Example(features=tf.train.Features(feature=made))
