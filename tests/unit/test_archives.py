"""Archives of images: all of what lies in them, a reject for what is spoilt, and nothing unpacked that is too large."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.cleaning.raw import Raw
from tasks.config.corpus import Clean
from tasks.errors import BadInput
from tasks.kinds.base import kind_of

DAY = datetime(2026, 11, 20, tzinfo=UTC)
BLOCK = 512
BODIES = {f"photos/{'cat' if n % 2 else 'dog'}/{n}.png": bytes([n]) * (BLOCK + n) for n in range(10)}


def tar(path: Path, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, body in BODIES.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return path


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in BODIES.items():
            archive.writestr(name, body)
    return path


def read(path: Path, limit: int = 1 << 20) -> list[Raw]:
    kind = kind_of(Clean.model_validate({"kind": "images"}))
    return list(kind.read(path, name=path.name, moment=DAY, limit=limit))


@pytest.mark.parametrize("mode", ["w", "w:gz", "zip"])
def test_the_folder_within_an_archive_is_the_label(mode: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "x") if mode == "zip" else tar(tmp_path / "x", mode)
    raws = read(path)
    assert {raw.url: raw.body for raw in raws} == BODIES
    assert [raw.label for raw in raws] == ["dog", "cat"] * 5
    with tarfile.open(tmp_path / "loose.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("loose.png"))
    assert [raw.label for raw in read(tmp_path / "loose.tar")] == [None]


@pytest.mark.parametrize("pack", [tar, zipped])
def test_what_is_too_large_is_rejected_with_its_size(pack: Callable[[Path], Path], tmp_path: Path) -> None:
    raws = read(pack(tmp_path / "x"), limit=BLOCK + 4)
    assert [raw.fault for raw in raws] == [None] * 5 + ["too_large"] * 5
    assert [(raw.value, raw.body) for raw in raws[5:]] == [(str(BLOCK + n), b"") for n in range(5, 10)]


@pytest.mark.parametrize("place", ["header", "between members", "in a header", "before the end"])
def test_no_member_of_a_damaged_tar_is_lost_in_silence(place: str, tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar")
    whole = bytearray(path.read_bytes())
    third = 2 * 3 * BLOCK - BLOCK  # a header and one or two blocks each: the first body fills one
    if place == "header":
        whole[third + 3] ^= 0xFF
    end = {"between members": third, "in a header": third + 100, "before the end": 10 * 3 * BLOCK - BLOCK}
    path.write_bytes(whole[: end.get(place)])
    with pytest.raises(BadInput, match=r"x\.tar: the archive is damaged or cut off"):
        read(path)


def test_a_spoilt_member_of_a_zip_costs_itself_alone(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip")
    with zipfile.ZipFile(path) as archive:
        at = archive.infolist()[4].header_offset
    spoilt = bytearray(path.read_bytes())
    begin = at + 30 + len("photos/dog/4.png")
    spoilt[begin : begin + 4] = b"\xff" * 4
    path.write_bytes(spoilt)
    raws = read(path)
    assert [raw.fault for raw in raws] == [None] * 4 + ["damaged"] + [None] * 5
    assert raws[4].value
    path.write_bytes(spoilt[:-30])
    with pytest.raises(BadInput, match=r"x\.zip: the archive is damaged or cut off"):
        read(path)
