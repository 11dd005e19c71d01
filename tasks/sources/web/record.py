"""WARC records (ISO 28500, version 1.1), one gzip member each.

Bodies are stored as the page's own bytes, without transfer or content encoding, so that a digest is the
page's and not its compressor's; the headers that named the encoding are kept under ``X-Crawler-``.
"""

from __future__ import annotations

import gzip
import hashlib
import uuid
from collections.abc import Sequence

Headers = Sequence[tuple[bytes, bytes]]

_PROFILE = "http://netpreserve.org/warc/1.1/revisit/"
VIA = "Nightshift-Via"
"""A field of our own: of an image the URL of the page that shows it."""
_ENCODED = frozenset({b"content-encoding", b"transfer-encoding", b"content-length"})


def digest_of(payload: bytes) -> str:
    """The payload digest as WARC headers write it."""
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"


def warcinfo(*, date: str, software: str, user_agent: str, partition: str) -> bytes:
    """The record that opens a file."""
    lines = {
        "software": software,
        "format": "WARC File Format 1.1",
        "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        "isPartOf": partition,
        "http-header-user-agent": user_agent,
    }
    block = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()
    return _member("warcinfo", date, {"Content-Type": "application/warc-fields"}, block)


def response(
    url: str,
    *,
    date: str,
    address: str | None,
    status: bytes,
    headers: Headers,
    payload: bytes,
    via: str | None = None,
) -> bytes:
    """A page or an image as it was served. ``status``: the whole status line."""
    fields = {"WARC-Payload-Digest": digest_of(payload), **({VIA: via} if via else {})}
    return _http("response", url, date, address, fields, _head(status, headers, len(payload)) + payload)


def revisit(
    url: str,
    *,
    date: str,
    address: str | None,
    status: bytes,
    headers: Headers,
    digest: str,
    captured: str,
    not_modified: bool,
) -> bytes:
    """A page that is what it was at ``captured``: the server said so, or the payload's digest does."""
    fields = {
        "WARC-Profile": _PROFILE + ("server-not-modified" if not_modified else "identical-payload-digest"),
        "WARC-Payload-Digest": digest,
        "WARC-Refers-To-Target-URI": url,
        "WARC-Refers-To-Date": captured,
    }
    return _http("revisit", url, date, address, fields, _head(status, headers, None))


def _http(kind: str, url: str, date: str, address: str | None, fields: dict[str, str], block: bytes) -> bytes:
    fields = {"WARC-Target-URI": url, **fields, "Content-Type": "application/http;msgtype=response"}
    if address:
        fields["WARC-IP-Address"] = address
    return _member(kind, date, fields, block)


def _head(status: bytes, headers: Headers, length: int | None) -> bytes:
    lines = [status]
    for name, value in headers:
        prefix = b"X-Crawler-" if name.lower() in _ENCODED else b""
        lines.append(prefix + name + b": " + value.replace(b"\r", b" ").replace(b"\n", b" "))
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join([*lines, b"", b""])


def _member(kind: str, date: str, fields: dict[str, str], block: bytes) -> bytes:
    head = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid4()}>",
        "WARC-Date": date,
        **fields,
        "WARC-Block-Digest": digest_of(block),
        "Content-Length": str(len(block)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return gzip.compress(b"WARC/1.1\r\n" + lines.encode() + b"\r\n" + block + b"\r\n\r\n", 6, mtime=0)
