"""Archives, tar and zip, packed in every way, with members that no honest one has."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable

from tests.benchmarks.fuzzing.damage import damaged, numbered
from tests.benchmarks.fuzzing.pictures import picture

_NAMES = ("a/0.png", "../../etc/0", "/0", "", "a/", "x" * 300, "b\u0e01/\ud800.gif", "a/b/c/d.jpg", "a\n/0", "C:\\0")
_DATE = (2026, 11, 20, 1, 2, 4)
_PAX = (
    {"path": "p" * 500},
    {"size": "99999999999"},
    {"size": "-1"},
    {"size": "x"},
    {"GNU.sparse.map": "0,1,x"},
    {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "70000"},
    {"GNU.sparse.size": "9" * 30, "GNU.sparse.map": "0,512"},
    {"mtime": "nan"},
    {"hdrcharset": "BINARY"},
    {"comment": "c" * 20_000},
)
_TYPES = b"0001234567LKSgxX\0V"


def archive(chance: random.Random) -> bytes:
    """An archive, mostly damaged, before it is packed or after."""
    if chance.random() < 0.5:
        data = _zip(chance)
        return damaged(numbered(data, chance) if chance.random() < 0.5 else data, chance, 0.6)
    packs: tuple[Callable[[bytes], bytes], ...] = (bytes, bytes, _gzip, bz2.compress, lzma.compress)
    return damaged(chance.choice(packs)(damaged(_tar(chance), chance, 0.3)), chance, 0.4)


def _body(chance: random.Random) -> bytes:
    # One that is larger than a document may be, and packs well.
    return chance.choice([lambda: picture(chance), lambda: bytes(100_000), lambda: chance.randbytes(50), bytes])()


def _zip(chance: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in chance.sample(_NAMES, chance.randrange(1, 6)):
            info = zipfile.ZipInfo(_storable(name) or "0", _DATE)
            info.compress_type = chance.choice(
                [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
            )
            info.extra = damaged(b"\x01\x00\x08\x00" + bytes(8), chance, 0.5) if chance.random() < 0.2 else b""
            packed.writestr(info, _body(chance))
        packed.comment = b"c" * chance.choice([0, 0, 9])
    return out.getvalue()


def _tar(chance: random.Random) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=chance.choice([0, 1, 2])) as packed:
        for _ in range(chance.randrange(1, 6)):
            body = _body(chance)
            info = tarfile.TarInfo(_storable(chance.choice(_NAMES))[: 90 if packed.format == 0 else 400])
            info.size = len(body)
            if packed.format == tarfile.PAX_FORMAT and chance.random() < 0.5:
                info.pax_headers = dict(chance.choice(_PAX))
            packed.addfile(info, io.BytesIO(body))
    data = out.getvalue()
    return _header(data, chance) if chance.random() < 0.5 else data


def _header(data: bytes, chance: random.Random) -> bytes:
    """With one header another, and its checksum right."""
    heads = [at for at in range(0, len(data) - 512, 512) if data[at + 257 : at + 262] == b"ustar"]
    if not heads:
        return data
    at = chance.choice(heads)
    head = bytearray(data[at : at + 512])
    if chance.random() < 0.5:
        head[156] = chance.choice(_TYPES)
    else:
        place, size = chance.choice([(0, 100), (124, 12), (136, 12), (345, 155), (386, 96), (482, 30)])
        new = chance.choice(
            [chance.randbytes(size), b"7" * size, b"\x80" + b"\xff" * size, b"\xff" * size, bytes(size)]
        )
        head[place : place + size] = new[:size]
    head[148:156] = b" " * 8
    head[148:156] = f"{sum(head):06o}\0 ".encode()
    return data[:at] + bytes(head) + data[at + 512 :]


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _storable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()
