"""TFRecord files written without TensorFlow are to the byte what TensorFlow writes, and what it reads."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tasks.config import Corpus
from tasks.kernels.crc import crc32c
from tasks.resolution import tfrecord
from tasks.step import Context
from tests.published import Days, document

PAGE = Path(__file__).parents[2] / "docs/kinds.md"


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_checksums_are_those_of_rfc_3720(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


def theirs(values: dict[str, bytes | str | int]) -> bytes:
    def feature(value: bytes | str | int) -> tf.train.Feature:
        if isinstance(value, int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
        data = value.encode() if isinstance(value, str) else value
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))

    features = tf.train.Features(feature={name: feature(value) for name, value in values.items()})
    made: bytes = tf.train.Example(features=features).SerializeToString(deterministic=True)
    return made


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text("abc_", min_size=1, max_size=9),
        st.one_of(st.binary(max_size=300), st.text(max_size=30), st.integers(-(2**63), 2**63 - 1)),
        max_size=5,
    )
)
def test_an_example_is_what_tensorflow_makes_of_it(values: dict[str, bytes | str | int]) -> None:
    made = tfrecord.example({**values, "missing": None})
    assert tf.train.Example.FromString(made) == tf.train.Example.FromString(theirs(values))


def test_a_file_is_what_tensorflow_writes(tmp_path: Path) -> None:
    rows = [{"uid": f"{n:032x}", "image": bytes([n]) * n * 999, "width": n, "label": "x" if n % 2 else None, "of": 1}
            for n in range(5)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    columns = ("uid", "image", "width", "label")
    tfrecord.write(tmp_path / "rows.parquet", tmp_path / "ours.tfrecord", columns)
    with tf.io.TFRecordWriter(str(tmp_path / "theirs.tfrecord")) as writer:
        for row in rows:
            writer.write(theirs({name: row[name] for name in columns if row[name] is not None}))  # type: ignore[misc]
    assert (tmp_path / "ours.tfrecord").read_bytes() == (tmp_path / "theirs.tfrecord").read_bytes()


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 0, 255 - shade)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("asked", [True, False])
def test_a_snapshot_of_images_is_read_as_the_documentation_says(
    asked: bool, make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    kind = {"images": {"min_side": 8, "tfrecord": asked}}
    corpus = make_corpus(kind=kind, train={"recipe": {"image_vgg16": {"weights": "random"}}, "near": None})
    days = Days(make_context(corpus), tmp_path)
    days.publish(
        "2026-11-20",
        *(
            document(
                f"{'warm' if n > 20 else 'cold'}/{n}.png",
                "",
                digest=hashlib.sha256(picture(n)).hexdigest(),
                length=len(picture(n)),
                label=None if n == 7 else "warm" if n > 20 else "cold",
                **{"image": picture(n), "width": 40, "height": 30, "channels": 3, "format": "png", "phash": "0" * 64},
            )
            for n in range(40)
        ),
    )
    made = days.snapshot()
    if not asked:
        assert {entry.role for entry in made.manifest.files} == {"train", "validation", "test"}
        return
    (code,) = re.findall(r"```python\n(import tensorflow.*?)```", PAGE.read_text(), re.DOTALL)
    folder = made.result.manifest.removeprefix("file://").removesuffix("_manifest.json")
    names: dict[str, Any] = {}
    exec(re.sub(r'"[^"]*/(?=tfrecord_train-)', f'"{folder}', code), names)
    found = {
        each["uid"].numpy().decode(): (each["label"].numpy().decode(), each["image"].numpy(), int(each["width"]))
        for each in names["train"]
    }
    assert found == {row["uid"]: (row["label"] or "", row["image"], 40) for row in made.rows("train")}
    pixels, label = next(iter(names["pixels"]))
    assert pixels.shape == (30, 40, 3) and pixels.dtype == tf.uint8 and label.dtype == tf.string
    for role in ("train", "validation", "test"):
        assert sum(entry.rows for entry in made.manifest.of_role(f"tfrecord_{role}")) == len(made.rows(role)) > 0


def test_asking_for_them_cleans_nothing_anew(make_corpus: Callable[..., Corpus]) -> None:
    train = {"recipe": "image_vgg16"}
    with_them, without = (make_corpus(kind={"images": {"tfrecord": each}}, train=train) for each in (True, False))
    assert with_them.clean.digest() == without.clean.digest()
