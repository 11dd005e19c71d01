"""Shards, raw documents and the pure function between raw and clean."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.catalog import FileEntry, Manifest
from tasks.clean import shard_count, shard_files
from tasks.cleaning.raw import BATCH_DOCUMENTS, Raw, batches, uid_of
from tasks.cleaning.reading import read_rows
from tasks.cleaning.refine import Refiner
from tasks.config import Corpus
from tasks.config.clean import Clean
from tasks.errors import BadInput, Corrupt
from tasks.sources.lines import csv_rows
from tasks.step import Shard

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def raw_manifest(*sizes: int) -> Manifest:
    files = tuple(FileEntry(key=f"raw/docs/d/{i}", role="warc", size=size, sha256="0") for i, size in enumerate(sizes))
    return Manifest(
        step="crawl", corpus="docs", partition="2026-11-20", fingerprint="", code={}, config="", files=files
    )


def raw(body: bytes = b"<p>Some text on a page.</p>", **changes: Any) -> Raw:
    values = {"uid": "0" * 32, "url": "http://host/a/page", "timestamp": NOON, "content_type": "text/html"}
    return Raw(**{**values, "body": body, **changes})


def refine(*raws: Raw, **clean: Any) -> list[dict[str, Any]]:
    (batch,) = batches(raws)
    rows: list[dict[str, Any]] = Refiner(Clean.model_validate(clean)).batch(batch).to_pylist()
    return rows


def test_there_are_at_most_as_many_shards_as_files_and_at_least_one(make_corpus: Callable[..., Corpus]) -> None:
    corpus = make_corpus(clean={"shards": 3})
    assert [shard_count(corpus, raw_manifest(*[1] * files)) for files in (0, 1, 3, 9)] == [1, 1, 3, 3]


@given(st.lists(st.integers(0, 1000), max_size=30), st.integers(1, 6))
def test_every_file_is_in_exactly_one_shard_and_shards_are_even(sizes: list[int], count: int) -> None:
    manifest = raw_manifest(*sizes)
    shards = [shard_files(manifest, Shard(index, count)) for index in range(count)]
    assert sorted(entry.key for shard in shards for entry in shard) == sorted(entry.key for entry in manifest.files)
    loads = [sum(entry.size for entry in shard) for shard in shards]
    assert max(loads) - min(loads) <= max(sizes, default=0)


def test_batches_hold_all_documents_in_order_and_are_bounded() -> None:
    raws = [raw(b"x" * (3 << 20 if i == 100 else 10), url=f"http://host/{i}") for i in range(300)]
    packed = list(batches(raws))
    assert [url for batch in packed for url in batch.column("url").to_pylist()] == [r.url for r in raws]
    assert all(batch.num_rows <= BATCH_DOCUMENTS for batch in packed)


def test_a_page_becomes_a_document_with_every_column() -> None:
    page = b"<title>A \r\n page</title><p>Caf\xc3\xa9 and what it is to be.</p>"
    (row,) = refine(raw(page, label=None), labels=[{"pattern": "/(?P<label>[a-z])/"}], filters=["length", "c4"])
    assert row["reason"] == "c4.sentences"
    (row,) = refine(raw(page), labels=[{"pattern": "/(?P<label>[a-z])/"}], filters=["length"])
    assert row == {
        "uid": "0" * 32,
        "url": "http://host/a/page",
        "text": "Café and what it is to be.",
        "label": "a",
        "language": "en",
        "length": 26,
        "title": "A page",
        "timestamp": NOON,
        "digest": hashlib.sha256("Café and what it is to be.".encode()).hexdigest(),
        "group": "host",
        "m_length_characters": 26.0,
        "m_length_words": 7.0,
        "reason": None,
        "value": "",
        "detail": "",
        "language_score": None,
    }


@pytest.mark.parametrize(
    ("document", "reason", "value"),
    [
        (raw(b"%PDF-1.7", content_type="application/pdf"), "content_type", "application/pdf"),
        (raw(b""), "empty", "0"),
        (raw(b"<html><script>alert(1)</script></html>"), "empty", "0"),
        (raw(bytes(range(256)) * 9), "undecodable", "0.25"),
        (raw(b"", fault="too_large", value="more than 10 bytes"), "too_large", "more than 10 bytes"),
        (raw(b"", fault="truncated"), "truncated", ""),
    ],
)
def test_a_page_that_is_no_document_says_why(document: Raw, reason: str, value: str) -> None:
    (row,) = refine(document)
    assert (row["uid"], row["reason"]) == (document.uid, reason)
    assert row["value"] == value or reason == "undecodable"


@pytest.mark.parametrize("filters", [["c4_lines"], [{"pii": {"masks": {"email": " "}}}]])
def test_a_page_of_which_a_filter_leaves_nothing_is_no_document(filters: list[Any]) -> None:
    (row,) = refine(raw(b"me@example.org", content_type="text/plain"), filters=filters)
    assert (row["reason"], row["value"], row["text"]) == ("empty", "0", "me@example.org")
    assert "left no text" in row["detail"]


def test_plain_text_is_not_parsed_and_an_unnamed_type_is_sniffed() -> None:
    rows = refine(
        raw(b"a < b and <p>c</p>", content_type="text/plain"),
        raw(b"a < b and b > c", content_type=""),
        raw(b"<!DOCTYPE html><p>markup", content_type=""),
    )
    assert [row["text"] for row in rows] == ["a < b and <p>c</p>", "a < b and b > c", "markup"]


def test_an_exception_in_one_page_is_that_pages_reject(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.text import extract

    def explode(html: str) -> extract.Extracted:
        if "bomb" in html:
            raise ValueError(f"cannot parse this {object()}")
        return extract.fast(html)

    monkeypatch.setitem(extract.MODES, "fast", explode)
    good, bad, after = refine(raw(), raw(b"<p>bomb"), raw())
    assert (good["reason"], after["reason"]) == (None, None)
    assert (bad["reason"], bad["value"], bad["detail"]) == (
        "crash",
        "ValueError",
        "cannot parse this <object object at 0x>",  # without the address: the same bytes every time
    )


def test_strip_rules_work_before_language_filters_and_digest() -> None:
    page = raw(b"<p>The sklearn library says: sklearn is here for you and me.</p>")
    (stripped,) = refine(page, strip=[{"pattern": r"\s*sklearn"}])
    assert stripped["text"] == "The library says: is here for you and me."
    assert stripped["length"] == len(stripped["text"])
    assert stripped["digest"] != refine(page)[0]["digest"]


def test_what_the_source_says_of_a_row_goes_before_what_is_found() -> None:
    (row,) = refine(
        raw(b"Guten Tag", content_type="text/plain", label="x", language="nl", group="g", title="T"),
        labels=[{"pattern": "/(?P<label>[a-z])/"}],
    )
    assert (row["label"], row["language"], row["group"], row["title"]) == ("x", "nl", "g", "T")


def test_a_rejected_text_is_kept_so_that_a_person_can_judge() -> None:
    (row,) = refine(raw(b"<p>too short</p>"), filters=[{"length": {"min_words": 3}}])
    assert (row["reason"], row["value"], row["text"]) == ("length.words", "2", "too short")


COLUMNS = {"id": "id", "text": "body", "label": "kind", "timestamp": "at"}


def rows_of(path: Path, kind: str, limit: int = 1000, columns: dict[str, str] = COLUMNS) -> list[Raw]:
    details = {"format": kind, "columns": columns}
    return list(read_rows(path, name="store/f", details=details, partition="2026-11-20", limit=limit))


ROWS = [
    {"id": 7, "body": "seven", "kind": "a", "at": "2026-11-01T10:00:00+02:00"},
    {"id": "8", "body": "eight \ud83d\ude00", "kind": None, "at": 1793520000},
]


def test_jsonl_rows_become_raw_documents(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, ROWS)).encode()))
    seven, eight = rows_of(path, "jsonl")
    assert (seven.uid, seven.body, seven.label) == (uid_of("7"), b"seven", "a")
    assert seven.timestamp == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert (eight.body.decode(), eight.label) == ("eight \U0001f600", None)


def test_csv_and_parquet_rows_are_read_alike(tmp_path: Path) -> None:
    csv_file, parquet = tmp_path / "f.csv", tmp_path / "f.parquet"
    csv_file.write_text('\ufeffid,body,kind,at\n7,"se\nven",a,2026-11-01\n\n', encoding="utf-8")
    table = {"id": [7], "body": ["se\nven"], "kind": ["a"], "at": [datetime(2026, 11, 1)], "other": [1]}
    pq.write_table(pa.table(table), parquet)
    assert rows_of(csv_file, "csv") == rows_of(parquet, "parquet")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"not json", "malformed"),
        (b"[1, 2]", "malformed"),
        (b"[" * 100_000, "malformed"),
        (b'{"body": "no id", "at": 1}', "malformed"),
        (b'{"id": 1, "body": "x", "at": "yesterday"}', "malformed"),
        (b'{"id": 1, "body": "' + b"x" * 2000 + b'", "at": 1}', "too_large"),
        (b'{"id": 1, "body": "' + b"x" * 3_000_000 + b'", "at": 1}', "too_large"),
    ],
)
def test_a_bad_row_costs_that_row(tmp_path: Path, line: bytes, fault: str) -> None:
    path = tmp_path / "f.jsonl"
    good = json.dumps(ROWS[0]).encode()
    path.write_bytes(b"\n".join([good, line, good]))
    before, bad, after = rows_of(path, "jsonl")
    assert before == after
    assert before.fault is None
    assert bad.fault == fault


def test_half_a_character_in_json_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"id": "1", "body": "a\\ud800b", "at": 1, "kind": "\\udfff"}')
    (row,) = rows_of(path, "jsonl")
    assert (row.body, row.label) == (b"a?b", "?")


def test_a_row_without_a_time_is_of_its_partition(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"id": "1", "body": "a"}')
    (row,) = rows_of(path, "jsonl", columns={"id": "id", "text": "body"})
    assert row.timestamp == datetime(2026, 11, 20, tzinfo=UTC)


def test_files_that_break_off_are_named(tmp_path: Path) -> None:
    cut = tmp_path / "f.jsonl.gz"
    cut.write_bytes(gzip.compress(json.dumps(ROWS[0]).encode() * 100)[:-20])
    with pytest.raises(BadInput, match="store/f"):
        rows_of(cut, "jsonl")
    parquet = tmp_path / "f.parquet"
    parquet.write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(Corrupt, match=r"f\.parquet"):
        rows_of(parquet, "parquet")


LARGE = 3_000_000


@pytest.mark.parametrize(
    "lines",
    [
        [b"2," + b"x" * LARGE + b",b,1"],
        [b'2,"' + b"x" * LARGE + b'",b,1'],
        [b'2,"' + b'a "" b, ' * (LARGE // 8) + b'",b,1'],
        [b'2,"first', b"x" * LARGE, b"3,no row,b,1", b'last",b,1'],
        [b'2,"first', b"", b"x" * LARGE + b'",b,1'],
        [b'2,"' + b"x" * LARGE, b"3,no row,b,1", b'""', b'"",last",b,1'],
        [b'2,"', *[b"short, as text is"] * (LARGE // 17), b'",b,1'],
        [b'2,five" and a half' + b"x" * LARGE + b",b,1"],
    ],
    ids=["plain", "quoted", "quotes in it", "within a cell", "ends a cell", "begins a cell", "many lines", "no quote"],
)
def test_a_csv_row_that_is_too_large_costs_that_row(tmp_path: Path, lines: list[bytes]) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"\n".join([b"id,body,kind,at", b"1,one,a,1", *lines, b"4,four,a,1", b'5,"fi\nve",a,1', b""]))
    one, large, four, five = rows_of(path, "csv")
    assert [(row.uid, row.body, row.fault) for row in (one, four, five)] == [
        (uid_of("1"), b"one", None),
        (uid_of("4"), b"four", None),
        (uid_of("5"), b"fi\nve", None),
    ]
    assert (large.body, large.fault, large.value) == (b"", "too_large", "row 3 of store/f")


def test_rows_that_are_too_large_end_where_the_csv_reader_says() -> None:
    # Whatever the marks in them and wherever the bound cuts: the rows after are those that csv.reader finds.
    random, judged = Random(3), 0
    for _ in range(3000):
        rows = ["".join(random.choices('",\nxy', (3, 2, 1, 2, 2), k=random.randint(1, 12))) for _ in range(6)]
        data = "\n".join(rows)
        csv.field_size_limit(1000)
        expected = [row for row in csv.reader(io.StringIO(data, newline="")) if row]
        try:
            found = [row for _, row in csv_rows(io.BytesIO(data.encode()), random.randint(1, 12))]
        except csv.Error as error:
            assert "never closed" in str(error)
            continue
        judged += None in found
        assert len(found) == len(expected), data
        assert all(row in (None, each) for row, each in zip(found, expected, strict=True)), data
    assert judged > 500


def test_a_quote_nobody_closed_ends_the_csv_with_an_error_not_with_all_memory(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b'id,body,kind,at\n1,"' + b"x,\n" * 2_000_000)
    with pytest.raises(BadInput, match="a quote in the row that begins on line 2 is never closed"):
        rows_of(path, "csv")
