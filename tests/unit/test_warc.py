"""Reading WARC files of any provenance and in any condition."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.cleaning.reading import read_warc
from tasks.sources.payload import Oversize, Undecodable, dechunk, decode, encodings
from tasks.sources.warc import Page, pages


def record(n: int, body: bytes, *headers: str, kind: str = "response", status: str = "200 OK") -> bytes:
    """One uncompressed record of ``http://x/<n>``."""
    block = body
    if kind != "resource":
        block = "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body
    return (
        "\r\n".join(
            [
                "WARC/1.1",
                f"WARC-Type: {kind}",
                f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{n:012d}>",
                f"WARC-Target-URI: http://x/{n}",
                "WARC-Date: 2026-11-20T01:02:03Z",
                f"Content-Type: {'text/html' if kind == 'resource' else 'application/http;msgtype=response'}",
                f"Content-Length: {len(block)}",
                "",
                "",
            ]
        ).encode()
        + block
        + b"\r\n\r\n"
    )


def body_of(n: int) -> bytes:
    """3 kB that compress badly, so that a cut falls into the body."""
    return b"".join(zlib.crc32(f"{n} {i}".encode()).to_bytes(4, "big").hex().encode() for i in range(375))


@pytest.fixture(params=["gzip", "plain"])
def pack(request: pytest.FixtureRequest) -> object:
    return gzip.compress if request.param == "gzip" else bytes


def read(tmp_path: Path, data: bytes, limit: int = 1_000_000) -> tuple[list[Page], Counter[str]]:
    path = tmp_path / "x.warc"
    path.write_bytes(data)
    faults: Counter[str] = Counter()
    return list(pages(path, limit=limit, faults=faults)), faults


def test_a_page_has_its_url_type_charset_time_and_payload(tmp_path: Path) -> None:
    (page,), faults = read(tmp_path, record(1, b"hello", "Content-Type: Text/HTML; Charset=ISO-8859-1"))
    assert (page.url, page.kind, page.status, page.payload) == ("http://x/1", "page", 200, b"hello")
    assert (page.content_type, page.charset) == ("text/html", "iso-8859-1")
    assert page.timestamp.isoformat() == "2026-11-20T01:02:03+00:00"
    assert not faults


def test_status_and_record_type_decide_the_kind(tmp_path: Path) -> None:
    data = b"".join(
        [
            record(1, b"", status="304 Not Modified", kind="revisit"),
            record(2, b"", status="404 Not Found"),
            record(3, b"", status="410 Gone"),
            record(4, b"", status="301 Moved Permanently"),
            record(5, b"", status="503 Busy"),
            record(6, b"", kind="request"),
            record(7, b"text", kind="resource"),
        ]
    )
    found, _ = read(tmp_path, data)
    assert [(p.url[-1], p.kind) for p in found] == [("1", "unchanged"), ("2", "gone"), ("3", "gone"), ("7", "page")]


@pytest.mark.parametrize("damage", ["cut", "flipped", "removed", "garbage"])
def test_a_damaged_record_costs_itself_only(tmp_path: Path, pack: object, damage: str) -> None:
    assert callable(pack)
    records = [pack(record(n, body_of(n))) for n in range(6)]
    middle = len(records[2]) // 2
    records[2] = {
        "cut": records[2][:middle],
        "flipped": records[2][:20].replace(b"WARC", b"WRAC") + b"\xff\x00\xff" + records[2][20:],
        "removed": b"\x00" * 40 + records[2][middle:],
        "garbage": b"garbage\r\n" * 300,
    }[damage]
    found, faults = read(tmp_path, b"".join(records))
    good = {p.url for p in found if not p.fault}
    # A plain record has no checksum: one that was cut swallows the next one's head.
    spared = {0, 1, 4, 5} if (damage, pack) == ("cut", bytes) else {0, 1, 3, 4, 5}
    assert good >= {f"http://x/{n}" for n in spared}
    assert faults["damaged"] == 1
    assert all(
        p.payload == body_of(int(p.url[-1])) for p in found if p.url[-1] in "01345" and p.url in good and n_ok(p)
    )


def n_ok(page: Page) -> bool:
    return len(page.payload) == 3000


def test_a_truncated_last_record_is_a_fault_not_a_short_page(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    data = b"".join(pack(record(n, body_of(n))) for n in range(3))
    found, _ = read(tmp_path, data[:-700])
    assert [(p.url[-1], p.fault, len(p.payload)) for p in found] == [
        ("0", "", 3000),
        ("1", "", 3000),
        ("2", "truncated", 0),
    ]


def test_a_payload_that_quotes_a_record_is_not_read_as_one(tmp_path: Path) -> None:
    data = record(1, b"see:\r\n" + record(8, b"quoted")) + b"garbage garbage" + record(2, b"next")
    found, faults = read(tmp_path, data)
    assert [p.url[-1] for p in found] == ["1", "2"]
    assert faults == {"damaged": 1}


@pytest.mark.parametrize("whole", [0, 1])
def test_a_file_that_ends_within_headers_says_so(tmp_path: Path, pack: object, whole: int) -> None:
    assert callable(pack)
    first, last = (pack(record(n, body_of(n))) for n in range(2))
    for size in (20, 50, 100, 200):
        found, faults = read(tmp_path, first * whole + last[:size])
        assert [p.fault for p in found] == [""] * whole
        assert faults == {"truncated": 1}, size


def test_a_whole_file_ends_within_nothing(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    data = b"".join(pack(record(n, body_of(n))) for n in range(3))
    assert [p.fault for p in read(tmp_path, data)[0]] == ["", "", ""]
    assert read(tmp_path, data)[1] == {}


def test_a_page_whose_checksum_is_cut_off_is_truncated(tmp_path: Path) -> None:
    found, faults = read(tmp_path, gzip.compress(record(1, b"hello"))[:-4])
    assert [(p.fault, p.payload) for p in found] == [("truncated", b"")]
    assert not faults


def test_junk_and_an_empty_file_have_no_pages(tmp_path: Path) -> None:
    assert read(tmp_path, b"junk" * 1000) == ([], {"damaged": 1})
    assert read(tmp_path, b"") == ([], {"truncated": 1})


@pytest.mark.parametrize("data", [b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x08", b"WAR", b"\x28\xb5", b"\n\n", b"abc"])
def test_a_file_of_a_few_bytes_is_truncated_not_damaged(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data) == ([], {"truncated": 1})
    tally: Counter[str] = Counter()
    assert list(read_warc(tmp_path / "x.warc", name="x", limit=100, tally=tally)) == []
    assert tally == {"damaged": 1}


def test_oversize_payloads_are_reported_without_being_held(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    data = record(1, b"x" * 2000) + record(2, bomb, "Content-Encoding: gzip") + record(3, b"fine")
    found, _ = read(tmp_path, data, limit=1000)
    assert [(p.url[-1], p.fault) for p in found] == [("1", "oversize"), ("2", "oversize"), ("3", "")]


def test_bodies_are_decoded(tmp_path: Path) -> None:
    import brotli

    text = b"hello world " * 100
    raw = zlib.compressobj(wbits=-15)
    data = b"".join(
        [
            record(0, gzip.compress(text), "Content-Encoding: gzip"),
            record(1, zlib.compress(text), "Content-Encoding: deflate"),
            record(2, raw.compress(text) + raw.flush(), "Content-Encoding: deflate"),
            record(3, brotli.compress(text), "Content-Encoding: br"),
            record(4, b"a;x=1\r\nhello worl\r\n4A6\r\n" + text[10:] + b"\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
            record(5, text, "Content-Encoding: gzip"),
            record(6, text, "Transfer-Encoding: chunked"),
        ]
    )
    found, _ = read(tmp_path, data)
    assert [p.payload for p in found] == [text] * 7


def test_bodies_that_break_off_or_lie_are_undecodable() -> None:
    whole = gzip.compress(body_of(1))
    for body, names in ((whole[:500], ["gzip"]), (b"\x78\x9cxx", ["deflate"]), (b"plain", ["br"]), (b"x", ["magic"])):
        with pytest.raises(Undecodable):
            decode(body, names, 10_000)
    with pytest.raises(Undecodable):
        dechunk(b"5\r\nhello\r\n9\r\nbreaks")


def test_stacked_bombs_stop_at_the_limit() -> None:
    bomb = gzip.compress(gzip.compress(bytes(100_000_000)))
    with pytest.raises(Oversize):
        decode(bomb, encodings("gzip, x-gzip"), 1_000_000)


@settings(max_examples=150)
@given(
    packed=st.booleans(),
    edits=st.lists(
        st.tuples(st.integers(0, 5000), st.binary(max_size=40), st.integers(0, 2000)), min_size=1, max_size=4
    ),
)
def test_no_damage_whatsoever_ends_a_shard(
    tmp_path_factory: pytest.TempPathFactory, packed: bool, edits: list[tuple[int, bytes, int]]
) -> None:
    whole = b"".join((gzip.compress if packed else bytes)(record(n, body_of(n)[:800])) for n in range(6))
    data = bytearray(whole)
    for position, inserted, removed in edits:
        data[position : position + removed] = inserted
    path = tmp_path_factory.mktemp("fuzz") / "x.warc"
    path.write_bytes(data)
    for page in pages(path, limit=10_000):
        assert page.fault or page.kind != "page" or not packed or page.payload == body_of(int(page.url[-1]))[:800]
