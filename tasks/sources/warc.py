"""Read a WARC file page by page, whatever state the file is in.

Crawls and archives are read by the same code: gzip or zstd per record or plain text, truncated at the
end, or with a damaged member in the middle, which costs that member and nothing else.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import SEEK_END
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from tasks.sources.payload import Oversize, Undecodable, dechunk, decode, encodings
from tasks.sources.web.record import VIA

if TYPE_CHECKING:
    from fastwarc.warc import WarcRecord

PAGE_LIMIT = 10_000_000
_HEADERS = 1 << 20
"""What a record may hold beside its body: HTTP headers, and the framing of chunks."""

_RECORD_START = re.compile(rb"\x1f\x8b\x08|\x28\xb5\x2f\xfd|WARC/1\.[01]\r\n")
_SCAN = 1 << 20


@dataclass(frozen=True, slots=True)
class Page:
    """One capture of one URL.

    ``kind``: ``page`` (a new or changed payload), ``unchanged`` (a revisit record: 304, or the payload
    of the visit before) or ``gone`` (404 or 410). ``payload`` is decoded (chunked, gzip, deflate, br,
    zstd) and empty unless ``kind`` is ``page``. ``fault`` is empty, or why there is no payload:
    ``oversize``, ``truncated``, ``damaged`` or ``undecodable``.
    """

    url: str
    kind: Literal["page", "unchanged", "gone"]
    timestamp: datetime
    status: int
    content_type: str = ""
    """Media type in lower case, without parameters; empty when the server gave none."""
    charset: str | None = None
    """What the HTTP header says; the bytes may say otherwise."""
    payload: bytes = b""
    fault: str = ""
    via: str | None = None
    """Of an image of our own crawl the page that shows it."""


def pages(path: Path, *, limit: int = PAGE_LIMIT, faults: Counter[str] | None = None) -> Iterator[Page]:
    """Every capture in a WARC file, in file order, one payload in memory at a time (two where records meet).

    ``limit``: a payload of more bytes, before or after decoding, becomes a page with fault ``oversize``.
    ``faults`` counts what no page stands for: ``damaged`` (a stretch of the file that is no record),
    ``malformed`` (a record without URL, date or HTTP status) and ``truncated`` (the file ends within a record's
    headers, or before its first).
    """
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    tally = faults if faults is not None else Counter()
    wanted = WarcRecordType.response | WarcRecordType.revisit | WarcRecordType.resource
    with path.open("rb") as file:
        head = file.read(4)
        if len(head) < 4:  # fastwarc calls it damage; it is a file that was cut before its first record, or no more yet
            tally["truncated"] += 1
            return
        compressed = head != b"WARC"
        start: int | None = 0
        damaged = seen = malformed = False
        while start is not None:
            file.seek(start)
            at, floor, length = start, start + 1, 0
            # A page waits until its gzip member has ended well: the checksum comes after the last byte.
            waiting: Page | None = None
            try:
                # Every record is looked at, so that `floor` is exact when the next one is damaged.
                for record in ArchiveIterator(file, parse_http=False):
                    if waiting:
                        yield waiting
                    waiting, damaged, malformed, seen = None, False, False, True
                    at, length = record.stream_pos, record.content_length
                    # In plain files a payload may quote a WARC header: never look inside a good record.
                    floor = at + (1 if compressed else 1 + length)
                    if record.record_type & wanted:
                        before = tally["malformed"]
                        waiting = _page(record, limit, tally)
                        malformed = tally["malformed"] > before
                cut = _cut(file, at, length, compressed=compressed, seen=seen)
                if cut == at and waiting:
                    waiting = replace(waiting, payload=b"", fault=waiting.fault or "truncated")
                elif cut is not None and not damaged:
                    tally["truncated"] += 1
                    if cut == at and malformed:  # its headers are no more than cut
                        tally -= Counter(malformed=1)  # in place; leaves no zero behind
                if waiting:
                    yield waiting
                return
            except OSError as error:
                if error.errno is not None:  # the disk, not the data
                    raise
                if waiting and compressed and not _intact_member(file, at):
                    waiting = replace(waiting, payload=b"", fault="damaged")
                if waiting:
                    yield waiting
                tally["damaged"] += not damaged
                damaged = True
                start = _next_record(file, floor)


def _page(record: WarcRecord, limit: int, tally: Counter[str]) -> Page | None:
    """What a record stands for, if it is a capture."""
    from fastwarc.warc import WarcRecordType

    url = (record.headers.get("WARC-Target-URI") or "").strip("<> ")
    timestamp = record.record_date
    if not url or timestamp is None:
        tally["malformed"] += 1
        return None
    timestamp = timestamp.astimezone(UTC)
    if record.record_type == WarcRecordType.revisit:
        return Page(url, "unchanged", timestamp, 304)
    if not url.lower().startswith(("http://", "https://")):
        return None
    if record.record_type == WarcRecordType.resource:
        status, applied, chunked = 200, list[str](), False
        content_type, charset = _media_type(record.headers.get("Content-Type"))
    else:
        record.parse_http(quirks_mode=True)
        headers = record.http_headers
        # A header map without headers is falsy, so only its status tells whether this is HTTP.
        status = (headers.status_code if headers is not None else None) or 0
        if not status:
            tally["malformed"] += 1
            return None
        applied = encodings(headers.get("Content-Encoding"))
        chunked = "chunked" in encodings(headers.get("Transfer-Encoding"))
        content_type, charset = _media_type(headers.get("Content-Type"))
    if status in (404, 410):
        return Page(url, "gone", timestamp, status)
    if not 200 <= status < 300:
        return None
    payload, fault = _payload(record, applied, chunked, limit)
    via = record.headers.get(VIA) or None
    return Page(url, "page", timestamp, status, content_type, charset, payload, fault, via)


def _payload(record: WarcRecord, applied: list[str], chunked: bool, limit: int) -> tuple[bytes, str]:
    """The decoded payload and why there is none."""
    size = record.content_length
    if size > limit + _HEADERS * chunked:
        return b"", "oversize"
    body = bytearray()
    while len(body) < size and (chunk := record.reader.read(size - len(body))):
        body += chunk
    # fastwarc ends a truncated record without a word.
    if len(body) < size:
        return b"", "truncated"
    try:
        whole = dechunk(bytes(body)) if chunked else bytes(body)
        return decode(whole, applied, limit), ""
    except Oversize:
        return b"", "oversize"
    except Undecodable:
        return b"", "undecodable"


def _media_type(header: str | None) -> tuple[str, str | None]:
    """Media type and charset of a ``Content-Type`` header."""
    kind, _, parameters = (header or "").partition(";")
    found = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", parameters, re.IGNORECASE)
    return kind.strip().lower(), found[1].lower() if found else None


def _cut(file: BinaryIO, at: int, length: int, *, compressed: bool, seen: bool) -> int | None:
    """Offset of the record that the file ends within: the one at ``at``, of ``length`` bytes, or one behind it.

    None where it ends with a whole record. Of zstd only that there is no record at all is noticed.
    """
    size = file.seek(0, SEEK_END)
    if not seen:
        return at
    file.seek(at)
    if not compressed:
        headers = re.search(rb"\r?\n\r?\n", file.read(_HEADERS))
        if not headers or at + headers.end() + length > size:
            return at
        end = at + headers.end() + length
        file.seek(end)
        return end if file.read(_SCAN).strip() else None
    try:
        while at < size and _is_gzip(file, at):
            if (behind := _member_end(file, at)) is None:
                return at
            at = behind
    except zlib.error:
        pass  # padding
    return None


def _is_gzip(file: BinaryIO, position: int) -> bool:
    file.seek(position)
    return file.read(2) in (b"\x1f", b"\x1f\x8b")


def _intact_member(file: BinaryIO, position: int) -> bool:
    """Whether the gzip member at ``position`` agrees with its checksum; True for other compressions."""
    try:
        return not _is_gzip(file, position) or _member_end(file, position) is not None
    except zlib.error:
        return False


def _member_end(file: BinaryIO, position: int) -> int | None:
    """Offset behind the gzip member at ``position``; None when the file ends within it.

    Raises:
        zlib.error: it is damaged, or no gzip member.
    """
    file.seek(position)
    stream = zlib.decompressobj(31)
    while not stream.eof and (chunk := file.read(_SCAN)):
        while chunk and not stream.eof:
            stream.decompress(chunk, _SCAN)
            chunk = stream.unconsumed_tail
    return file.tell() - len(stream.unused_data) if stream.eof else None


def _next_record(file: BinaryIO, position: int) -> int | None:
    """Offset of what looks like the next record's first byte at or after ``position``."""
    overlap = 16
    file.seek(position)
    window = b""
    while chunk := file.read(_SCAN):
        window += chunk
        if found := _RECORD_START.search(window):
            return position + found.start()
        position += max(len(window) - overlap, 0)
        window = window[-overlap:]
    return None
