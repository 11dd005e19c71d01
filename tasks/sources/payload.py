"""Undo HTTP's encodings of a body without ever holding more than a limit."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence


class Oversize(Exception):
    """The decoded body is larger than the limit: a large page, or a decompression bomb."""


class Undecodable(Exception):
    """The body is not what its headers say, or uses an encoding that nobody here knows."""


def encodings(header: str | None) -> list[str]:
    """The encodings that a ``Content-Encoding`` or ``Transfer-Encoding`` header names, outermost last."""
    names = (part.strip().lower() for part in (header or "").split(","))
    return [name.removeprefix("x-") for name in names if name not in ("", "identity", "none", "utf-8")]


def decode(body: bytes, applied: Sequence[str], limit: int) -> bytes:
    """``body`` with the named encodings undone, the last one first.

    A body that does not look encoded as ``gzip`` or ``zstd`` is taken as it is: archives often keep the
    header of a body that their crawler decoded.

    Raises:
        Oversize: more than ``limit`` bytes at any stage.
        Undecodable: broken data, or an unknown encoding.
    """
    for encoding in reversed(applied):
        body = _undo(body, encoding, limit)
    if len(body) > limit:
        raise Oversize(f"more than {limit} bytes")
    return body


def dechunk(body: bytes) -> bytes:
    """A body without its chunked framing (RFC 9112, 7.1); as it is when it has none."""
    out = io.BytesIO()
    position = 0
    while True:
        end = body.find(b"\r\n", position, position + 64)
        size = body[position:end].partition(b";")[0].strip() if end > 0 else b""
        try:
            length = int(size, 16)
        except ValueError:
            return body if position == 0 else _cut(body, position)
        if length == 0:
            return out.getvalue()
        if length < 0 or end + 2 + length > len(body):
            return body if position == 0 else _cut(body, position)
        out.write(memoryview(body)[end + 2 : end + 2 + length])
        position = end + 2 + length + 2


def _cut(body: bytes, position: int) -> bytes:
    raise Undecodable(f"chunked body breaks off at byte {position} of {len(body)}")


def _undo(body: bytes, encoding: str, limit: int) -> bytes:
    if not body:
        return body
    if encoding == "gzip":
        return _inflate(body, 31, limit) if body[:2] == b"\x1f\x8b" else body
    if encoding == "deflate":
        # RFC 9110 means zlib's framing; some servers send the bare stream.
        zlib_framed = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
        return _inflate(body, 15 if zlib_framed else -15, limit)
    if encoding in ("br", "zstd"):
        return _stream(body, encoding, limit)
    raise Undecodable(f"unknown encoding {encoding!r}")


def _inflate(body: bytes, wbits: int, limit: int) -> bytes:
    out = bytearray()
    while body:
        stream = zlib.decompressobj(wbits)
        try:
            out += stream.decompress(body, limit + 1 - len(out))
        except zlib.error as error:
            raise Undecodable(str(error)) from error
        if len(out) > limit:
            raise Oversize(f"more than {limit} bytes decompressed")
        if not stream.eof:
            raise Undecodable("the compressed body breaks off")
        # gzip allows several members; anything else behind the first is padding.
        body = stream.unused_data if wbits == 31 and stream.unused_data[:2] == b"\x1f\x8b" else b""
    return bytes(out)


def _stream(body: bytes, encoding: str, limit: int) -> bytes:
    from fastwarc.stream_io import BrotliReader, ZstdReader

    if encoding == "zstd" and body[:4] != b"\x28\xb5\x2f\xfd":
        return body
    reader = (BrotliReader if encoding == "br" else ZstdReader)(io.BytesIO(body))
    out = bytearray()
    try:
        while len(out) <= limit and (chunk := reader.read(min(1 << 16, limit + 1 - len(out)))):
            out += chunk
    except OSError as error:
        raise Undecodable(str(error)) from error
    if len(out) > limit:
        raise Oversize(f"more than {limit} bytes decompressed")
    return bytes(out)
