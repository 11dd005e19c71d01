"""Rows of a Parquet file as TFRecord of ``tf.train.Example``, written without TensorFlow: steps of data have none.

A record is its length, the masked CRC-32C of that, the example, and the masked CRC-32C of this
(https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details). Equal rows, equal bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.kernels.crc import crc32c
from tasks.parquet import batches

_BYTES, _INTEGERS = 1, 3
"""Fields of ``tf.train.Feature``."""


def write(rows: Path, path: Path, columns: Sequence[str]) -> None:
    """Write ``columns`` of a Parquet file, bytes, texts or integers, to ``path``; a missing value is no feature."""
    with path.open("wb") as out:
        for table in batches(rows, list(columns)):
            for row in table.to_pylist():
                out.write(record(example(row)))


def record(data: bytes) -> bytes:
    """One record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _masked(length), data, _masked(data)))


def example(values: Mapping[str, bytes | str | int | None]) -> bytes:
    """A serialised ``tf.train.Example`` with a feature of one value for each that is not None."""
    features = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, _feature(value)))
        for name, value in sorted(values.items())
        if value is not None
    )
    return _field(1, features)


def _feature(value: Any) -> bytes:
    if isinstance(value, int):
        return _field(_INTEGERS, _field(1, _varint(value)))
    return _field(_BYTES, _field(1, value.encode() if isinstance(value, str) else value))


def _field(number: int, payload: bytes) -> bytes:
    """A field of a protocol buffer whose wire type is a length and so many bytes."""
    return b"".join((_varint(number << 3 | 2), _varint(len(payload)), payload))


def _varint(number: int) -> bytes:
    number &= 0xFFFF_FFFF_FFFF_FFFF  # a negative one is its two's complement
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
