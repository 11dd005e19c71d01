"""What lies in an archive, a file at a time: a zip, or a tar, packed or not."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import BadInput

_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    # Numbers and names in headers that are none, or that no machine holds.
    ValueError,
    OverflowError,
)
# Encrypted, packed in a way that nobody knows, or cut by bzip2's own account; or by LZMA's account in need of gigabytes
# to unpack what is no larger than a document.
_BROKEN_MEMBER = (*_BROKEN, RuntimeError, OSError, MemoryError)

_ABOUT = frozenset(
    (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
)
"""Types of what is no file, but said of the next one: ``tarfile`` holds it whole."""
_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive; without ``body`` if it is larger than asked for, or if something is its ``fault``.

    ``name`` can be stored: bytes of it that are no UTF-8 are written out.
    """

    name: str
    size: int
    body: bytes = b""
    fault: str | None = None
    detail: str = ""


def members(path: Path, name: str, limit: int) -> Iterator[Member]:
    """The files of an archive in its order; none is unpacked that is larger than ``limit``.

    A zip says of each file where it is and what it must be, so one that is spoilt costs itself alone. What lies behind
    a spoilt header of a tar cannot be found.

    Raises:
        BadInput: it is no archive, breaks off, or cannot be read to its end.
    """
    try:
        yield from _zip(path, limit) if zipfile.is_zipfile(path) else _tar(path, limit)
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system, and not bzip2's "Invalid data stream"
        raise BadInput(f"{name}: the archive is damaged or cut off, so none of it is taken: {error}") from error


def _zip(path: Path, limit: int) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith("/"):  # `is_dir` fails of a name that is empty
                continue
            if info.file_size > limit:
                yield Member(_named(info.filename), info.file_size, fault="too_large", detail=str(info.file_size))
                continue
            try:
                body = archive.read(info)
            except _BROKEN_MEMBER as error:
                yield Member(_named(info.filename), info.file_size, fault="damaged", detail=_said(error))
            else:
                yield Member(_named(info.filename), info.file_size, body)


def _tar(path: Path, limit: int) -> Iterator[Member]:
    with tarfile.open(path, "r:*", tarinfo=_Header) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            if member.size > limit:
                yield Member(_named(member.name), member.size, fault="too_large", detail=str(member.size))
            else:
                yield Member(_named(member.name), member.size, stream.read())


def _said(error: BaseException) -> str:
    return str(error)[:500] or type(error).__name__


def _named(name: str) -> str:
    # Two names that differ stay two: an id is made of them.
    return name.encode("utf-8", "backslashreplace").decode()


class _Header(tarfile.TarInfo):
    """A header; where one is missing or spoilt ``TarFile`` would see the end, and lose what is behind it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _ABOUT and header.size > _LONGEST:
            raise tarfile.InvalidHeaderError(  # type: ignore[attr-defined]
                f"{header.size} bytes are said of one file, which may be {_LONGEST}"
            )
        return header

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the block of zeros that ends an archive
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"no header at byte {tar.offset}: {error}") from error
