"""TFRecord files of a snapshot, as `tf.data` reads them."""

from __future__ import annotations

import hashlib
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

from tasks.config import Corpus
from tasks.errors import Lacking
from tasks.resolution import tfrecord
from tasks.step import Context
from tests.published import Days, document

PAGE = Path(__file__).parents[2] / "docs/kinds.md"


def test_a_file_has_an_example_for_each_row_in_order_and_equal_rows_are_equal_bytes(tmp_path: Path) -> None:
    rows = [{"uid": f"{n:032x}", "image": bytes([n]) * n * 999, "width": -n, "label": "x" if n % 2 else None, "of": 1}
            for n in range(5)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    columns = ("uid", "image", "width", "label")
    for name in ("one", "other"):
        tfrecord.write(tmp_path / "rows.parquet", tmp_path / name, columns)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    found = []
    for record in tf.data.TFRecordDataset(str(tmp_path / "one")).as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        found.append({
            name: (value.int64_list.value or value.bytes_list.value)[0] for name, value in features.items()
        })  # fmt: skip
    assert found == [
        {
            name: value.encode() if isinstance(value := row[name], str) else value
            for name in columns
            if row[name] is not None
        }
        for row in rows
    ]


def test_without_tensorflow_the_option_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(Lacking, match=r"kind\.images\.tfrecord.*trainer_image"):
        tfrecord.write(tmp_path / "rows.parquet", tmp_path / "out", ("uid",))


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
