"""Packed files with one byte changed, as `nightshift predict` reads them: rows, or an error that names the file."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from tasks.errors import BadInput
from tasks.kinds.base import KINDS
from tasks.predicting.inputs import documents

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
