"""Archives of images: all of what lies in them, a reject for what is spoilt, and nothing unpacked that is too large."""

from __future__ import annotations

import errno
import io
import tarfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.cleaning.raw import Raw, batches
from tasks.config.clean import Clean
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


def test_a_tar_whose_packing_is_spoilt_is_damaged_and_a_disk_that_fails_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tar(tmp_path / "x.tar.bz2", "w:bz2")
    spoilt = bytearray(path.read_bytes())
    spoilt[len(spoilt) // 2 :] = bytes(len(spoilt) - len(spoilt) // 2)
    path.write_bytes(spoilt)
    with pytest.raises(BadInput, match=r"x\.tar\.bz2: the archive is damaged or cut off"):
        read(path)

    def failing(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(tarfile, "open", failing)
    with pytest.raises(OSError, match="Input/output error"):
        read(path)


@pytest.mark.parametrize("error", [ValueError, OverflowError])
def test_a_number_that_no_machine_holds_is_damage(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = said_of(tmp_path / "x.tar", size="9" * 30)  # of which Python says either, by where it is used
    with pytest.raises(BadInput, match=r"x\.tar: the archive is damaged"):
        read(path)

    def jumping(*_: object, **__: object) -> None:
        raise error("cannot fit 'int' into an index-sized integer")

    monkeypatch.setattr(tarfile, "open", jumping)
    with pytest.raises(BadInput, match=r"x\.tar: the archive is damaged.*index-sized"):
        read(path)


def test_a_file_of_a_zip_that_has_no_name_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"body")
    whole = path.read_bytes()
    # The name's length and the name, in the entry and in the directory.
    entry, listed = whole.index(b"PK\x03\x04"), whole.index(b"PK\x01\x02")
    parts = (whole[:26], whole[28:30], whole[31:listed], whole[listed : listed + 28], whole[listed + 30 : listed + 46])
    end = bytearray(whole[listed + 47 :])
    end[12:16] = (46).to_bytes(4, "little")
    end[16:20] = (listed - 1).to_bytes(4, "little")
    path.write_bytes(parts[0] + b"\0\0" + parts[1] + parts[2] + parts[3] + b"\0\0" + parts[4] + bytes(end))
    assert entry == 0
    assert [(raw.url, raw.body) for raw in read(path)] == [("", b"body")]


def said_of(path: Path, body: bytes = b"x" * 700, format: int = tarfile.PAX_FORMAT, **told: str) -> Path:
    """A packed tar of one file, with what its extended header says of it."""
    info = tarfile.TarInfo("cat/0.png")
    info.size, info.pax_headers = len(body), told
    with tarfile.open(path, "w:gz", format=format) as archive:
        archive.addfile(info, io.BytesIO(body))
    return path


@pytest.mark.parametrize(
    "told",
    [{"GNU.sparse.map": "0,x"}, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}],
    ids=["no number", "no map"],
)
def test_a_header_that_makes_no_sense_is_damage(told: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"x\.tar: the archive is damaged"):
        read(said_of(tmp_path / "x.tar", **told))


def test_a_header_that_says_more_than_a_name_needs_is_not_unpacked(tmp_path: Path) -> None:
    assert len(read(said_of(tmp_path / "x.tar", comment="c" * 10_000))) == 1
    bomb = said_of(tmp_path / "x.tar", comment="c" * (2 << 20))
    assert bomb.stat().st_size < 20_000
    with pytest.raises(BadInput, match=r"x\.tar: (?s:.*) bytes are said of one file, which may be 1048576"):
        read(bomb)


def test_names_that_are_no_utf8_can_be_stored_and_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as archive:
        for name in ("h\u00e4/0.png", "h\u00f6/0.png"):
            archive.addfile(tarfile.TarInfo(name))
    raws = read(path)
    assert [raw.url for raw in raws] == ["h\\udce4/0.png", "h\\udcf6/0.png"]
    assert [raw.label for raw in raws] == ["h\\udce4", "h\\udcf6"]
    assert len({raw.uid for raw in raws}) == 2
    assert sum(batch.num_rows for batch in batches(raws)) == 2


def test_a_member_that_wants_gigabytes_to_be_unpacked_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = zipfile.ZipFile.read

    def starved(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
        if info.filename.endswith("4.png"):
            raise MemoryError
        return whole(archive, info)

    monkeypatch.setattr(zipfile.ZipFile, "read", starved)
    raws = read(zipped(tmp_path / "x.zip"))
    assert [raw.fault for raw in raws] == [None] * 4 + ["damaged"] + [None] * 5
    assert raws[4].value == "MemoryError"
