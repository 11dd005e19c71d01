"""Rows from JSONL, CSV and Parquet."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.crawl import crawl, folder_of
from tasks.errors import BadInput
from tasks.sources import files
from tasks.sources.lines import longest_row
from tasks.step import Context

DAY, TODAY = "2026-11-05", date(2026, 11, 20)
ROWS = [{"key": str(n), "body": f"text {n}", "kind": "a"} for n in range(5)]
COLUMNS = {"id": "key", "text": "body", "label": "kind"}


@pytest.fixture
def bring(
    tmp_path: Path, make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]
) -> Callable[..., Manifest]:
    """``bring({name: bytes}, **params)``: the manifest of a partition made of these files."""

    def run(contents: dict[str, bytes], pattern: str = "*", **params: Any) -> Manifest:
        folder = tmp_path / "rows"
        folder.mkdir(exist_ok=True)
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        source = {"files": {"path": f"{folder}/{pattern}", "columns": COLUMNS, **params}}
        context = make_context(make_corpus(source={"history": source}))
        crawl(context, DAY, today=TODAY)
        manifest = context.catalog.current(folder_of("docs", DAY))
        assert manifest is not None
        return manifest

    return run


def jsonl(rows: list[dict[str, str]] = ROWS, end: str = "\n") -> bytes:
    import json

    return ("\n".join(json.dumps(row) for row in rows) + end).encode()


def parquet(tmp_path: Path) -> bytes:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "x")
    return (tmp_path / "x").read_bytes()


CSV = b'\xef\xbb\xbfkey,body,kind\n1,"two\nlines",a\n2,"with ""quotes""",b\n'


def test_every_format_is_counted_row_by_row(bring: Callable[..., Manifest], tmp_path: Path) -> None:
    cases = {
        "a.jsonl": (jsonl(), 5),
        "b.ndjson": (jsonl(end=""), 5),
        "c.jsonl.gz": (gzip.compress(jsonl()), 5),
        "d.csv": (CSV, 2),
        "e.csv.gz": (gzip.compress(CSV), 2),
        "f.parquet": (parquet(tmp_path), 5),
    }
    for name, (data, rows) in cases.items():
        manifest = bring({name: data}, name)
        (entry,) = manifest.files
        assert (entry.role, entry.rows, manifest.counts["documents"]) == ("rows", rows, rows), name
        suffix = ".jsonl" if "ndjson" in name else name[1:]
        assert entry.key.endswith(suffix)
        kind = suffix.removesuffix(".gz")[1:]
        assert manifest.details == {"source": "files", "format": kind, "columns": COLUMNS, "origin": "history"}


def test_a_missing_column_is_named_with_the_ones_there_are(bring: Callable[..., Manifest], tmp_path: Path) -> None:
    for name, data in {"a.jsonl": jsonl(), "a.csv": CSV, "a.parquet": parquet(tmp_path)}.items():
        columns = {**COLUMNS, "url": "link"}
        with pytest.raises(
            BadInput, match=rf"{name}: no column 'link' \(columns\.url\); there are: 'key', 'body', 'kind'"
        ):
            bring({name: data}, name, columns=columns)


def test_a_bad_row_is_left_for_cleaning_to_reject(bring: Callable[..., Manifest]) -> None:
    assert bring({"a.jsonl": b"{broken\n" + jsonl()}).counts["documents"] == 6


def test_no_row_is_held_beyond_a_bound_while_it_is_counted(
    bring: Callable[..., Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [0]

    class Watched(io.BufferedReader):
        def readline(self, size: int | None = -1) -> bytes:
            line = super().readline(size)
            held.append(len(line))
            return line

        def __next__(self) -> bytes:
            return self.readline()

    monkeypatch.setattr(files, "_reading", lambda path: Watched(io.FileIO(path)))
    wide = b"x" * (30 << 20)
    cases = {
        "a.csv": b"key,body,kind\n1,one,a\n2," + wide + b',a\n3,"' + wide + b'\n",a\n4,four,a\n',
        "b.jsonl": b'{"key": "0", "body": "' + wide + b'"}\n' + jsonl(ROWS[:3]),
    }
    for name, data in cases.items():
        assert bring({name: data}, name).counts["documents"] == 4
    assert max(held) < longest_row(10_000_000) + 2


def test_files_that_cannot_be_read_are_refused_by_name(bring: Callable[..., Manifest]) -> None:
    cases = {
        "a.parquet": (b"PAR1 no", "not a readable Parquet file"),
        "b.jsonl.gz": (gzip.compress(jsonl() * 100)[:-10], "cut off or damaged"),
        "c.csv": (b"", "needs a header"),
        "d.xml": (b"<x/>", "no format known for '.xml'"),
        "e.parquet.gz": (b"x", "compressed inside"),
    }
    for name, (data, message) in cases.items():
        with pytest.raises(BadInput, match=message) as caught:
            bring({name: data}, name)
        assert name in str(caught.value)


def test_a_named_format_wins_over_the_files_name(bring: Callable[..., Manifest]) -> None:
    assert bring({"export.txt": jsonl()}, format="jsonl").counts["documents"] == 5


def test_several_formats_at_once_are_refused(bring: Callable[..., Manifest]) -> None:
    with pytest.raises(BadInput, match="several formats: csv, jsonl"):
        bring({"a.csv": CSV, "b.jsonl": jsonl()})


def test_equal_files_are_one_part(bring: Callable[..., Manifest]) -> None:
    manifest = bring({"a.jsonl": jsonl(), "b.jsonl": jsonl()})
    assert len(manifest.files) == 1
    assert len(manifest.inputs) == 2
    assert manifest.counts["documents"] == 5


def test_a_crawl_counts_a_bomb_without_unpacking_it(
    tmp_path: Path, make_corpus: Callable[..., Corpus], make_context: Callable[..., Context]
) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/1.png", bytes(1 << 26))
    corpus = make_corpus(
        kind="images",
        source={"history": {"files": {"path": f"{tmp_path}/x.zip"}}},
        clean={"document_bytes": "1MB"},
        train={"recipe": "image_vgg16"},
    )
    tracemalloc.start()
    try:
        result = crawl(make_context(corpus), DAY, today=TODAY)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.counts["documents"] == 1
    assert peak < 1 << 25, "less than half of what it would be unpacked"
