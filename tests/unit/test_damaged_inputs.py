"""Packed files with one byte changed, as `nightshift predict` reads them: rows, or an error that names the file."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.cleaning.reading import read_rows
from tasks.errors import BadInput, Corrupt
from tasks.kinds.base import KINDS
from tasks.predicting.inputs import documents
from tasks.sources.files import Files
from tasks.sources.locate import Found
from tasks.store import ObjectInfo, open_store

ROWS = "".join(json.dumps({"text": f"row {number} of many", "id": number**3}) + "\n" for number in range(40)).encode()
SENTENCES = "\n\n".join(f"word{number} O\nother{number} O" for number in range(40)).encode()


def _image() -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").save(out, "PNG")
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0.png", _image())
    return out.getvalue()


def _tar(mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo("a/0.png")
        member.size = len(_image())
        archive.addfile(member, io.BytesIO(_image()))
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("documents", "rows.jsonl.gz", gzip.compress(ROWS, mtime=0)),
        ("sequences", "sentences.conll.gz", gzip.compress(SENTENCES, mtime=0)),
        ("images", "images.zip", _zip()),
        ("images", "images.tar", _tar("w")),
        ("images", "images.tar.gz", _tar("w:gz")),
    ],
)
def test_damage_is_an_error_that_names_the_file_and_no_traceback(
    kind: str, name: str, content: bytes, tmp_path: Path
) -> None:
    cls = KINDS.get(kind)
    made = cls(cls.Params())
    path = tmp_path / name

    def read() -> int:
        return sum(1 for _ in documents([path], kind=made, text="text", limit=1 << 20, tally=Counter()))

    path.write_bytes(content)
    assert read() > 0
    said = []
    for place in range(0, len(content), max(len(content) // 200, 1)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            read()
        except BadInput as error:
            said.append(str(error))
    assert said
    assert all(str(path) in each for each in said)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.date32(), 1 << 24),
        (pa.timestamp("us", "Nowhere/Else"), 1),
        (pa.timestamp("s"), 1 << 40),
    ],
    ids=["a day after 9999", "no such zone", "a time after 9999"],
)
def test_a_cell_that_python_has_no_value_for_costs_its_row(kind: pa.DataType, value: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    days = pa.array([None, value, None], kind)
    pq.write_table(pa.table({"id": ["a", "b", "c"], "text": ["one", "two", "three"], "group": days}), path)
    columns = {"id": "id", "text": "text", "group": "group"}
    told = {"format": "parquet", "columns": columns}
    raws = list(read_rows(path, name="x", details=told, partition="2026-11-20", limit=99))
    assert [(raw.fault, raw.body) for raw in raws] == [(None, b"one"), ("malformed", b""), (None, b"three")]
    assert raws[1].value == "row 2 of x"


def test_a_parquet_file_with_a_spoilt_end_is_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"id": ["a"], "text": ["one"]}), path)
    whole, told = path.read_bytes(), {"format": "parquet", "columns": {"id": "id", "text": "text"}}
    found = Found(open_store(tmp_path.as_uri(), {}), ObjectInfo("rows.parquet", len(whole), ""))
    said = []
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            Files(Files.Params(path="*")).measure(path, found)
            list(read_rows(path, name="x", details=told, partition="2026-11-20", limit=99))
        except (BadInput, Corrupt) as error:
            said.append(str(error))
    assert len(said) > 100
    assert any("not a readable Parquet file: Couldn't deserialize" in each for each in said)
