"""WARC files by date, from the store or a folder."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tasks.config import Corpus
from tasks.crawl import crawl, folder_of
from tasks.errors import BadInput
from tasks.sources.locate import find
from tasks.sources.web import record
from tasks.step import Context
from tasks.store import Store

DAY, TODAY = "2026-11-05", date(2026, 11, 20)


def member(path: str, body: bytes, date: str = "2026-11-05T00:00:00Z") -> bytes:
    headers = [(b"Content-Type", b"text/html")]
    url = f"http://site.test/{path}"
    return record.response(url, date=date, address=None, status=b"HTTP/1.1 200 OK", headers=headers, payload=body)


@pytest.fixture
def archived(
    local_store: Store, make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]
) -> Callable[..., Context]:
    """``archived(path)``: a corpus whose history is an archive, with two files of the day in the store."""

    def build(path: str = "archive/docs/{partition}/*.warc.gz") -> Context:
        local_store.write(f"archive/docs/{DAY}/a.warc.gz", member("a", b"<p>a") + member("b", b"<p>b"))
        local_store.write(f"archive/docs/{DAY}/b.warc.gz", member("c", b"<p>c"))
        local_store.write(f"archive/docs/{DAY}/notes.txt", b"no WARC")
        local_store.write(f"archive/docs/{DAY}/deeper/x.warc.gz", member("d", b"<p>d"))
        return make_context(make_corpus(source={"history": {"archive": {"path": path}}}))

    return build


def test_the_days_files_are_copied_and_counted(archived: Callable[..., Context]) -> None:
    context = archived()
    result = crawl(context, DAY, today=TODAY)
    manifest = context.catalog.current(folder_of("docs", DAY))
    assert manifest is not None
    assert result.counts["documents"] == manifest.counts["visited"] == 3
    assert [(f.role, f.rows) for f in manifest.files] == [("warc", 2), ("warc", 1)]
    assert manifest.details == {"source": "archive", "format": "warc", "origin": "history"}
    assert [i.name.rsplit("/", 1)[-1] for i in manifest.inputs] == ["a.warc.gz", "b.warc.gz"]


def test_two_stars_cross_folders(archived: Callable[..., Context]) -> None:
    assert crawl(archived("archive/docs/{partition}/**/*.warc.gz"), DAY, today=TODAY).counts["documents"] == 4


def test_unchanged_is_a_noop_and_a_changed_byte_is_not(archived: Callable[..., Context], local_store: Store) -> None:
    context = archived()
    crawl(context, DAY, today=TODAY)
    assert crawl(context, DAY, today=TODAY).noop
    local_store.write(f"archive/docs/{DAY}/b.warc.gz", member("c", b"<p>C"))
    assert not crawl(context, DAY, today=TODAY).noop
    local_store.write(f"archive/docs/{DAY}/c.warc.gz", member("e", b"<p>e"))
    assert crawl(context, DAY, today=TODAY).counts["documents"] == 4


def test_the_same_bytes_stored_anew_are_a_noop(archived: Callable[..., Context], local_store: Store) -> None:
    context = archived()
    crawl(context, DAY, today=TODAY)
    key = f"archive/docs/{DAY}/b.warc.gz"
    local_store.write(key, local_store.read(key))  # another ETag
    assert crawl(context, DAY, today=TODAY).noop


def test_a_damaged_part_of_the_partition_is_made_again(archived: Callable[..., Context], local_store: Store) -> None:
    context = archived()
    crawl(context, DAY, today=TODAY)
    manifest = context.catalog.current(folder_of("docs", DAY))
    assert manifest is not None
    local_store.write(manifest.files[0].key, b"spoilt")
    assert not crawl(context, DAY, today=TODAY).noop
    assert not context.catalog.damaged(manifest)


def test_a_day_without_files_names_the_pattern(archived: Callable[..., Context]) -> None:
    with pytest.raises(BadInput, match=r"archive/docs/2026-11-06/\*\.warc\.gz.*archive/docs/\{partition\}"):
        crawl(archived(), "2026-11-06", today=TODAY)


def test_a_file_that_is_no_warc_is_refused_by_name(archived: Callable[..., Context]) -> None:
    with pytest.raises(BadInput, match=r"notes\.txt is not a WARC file"):
        crawl(archived("archive/docs/{partition}/*"), DAY, today=TODAY)


def test_a_truncated_archive_costs_what_is_lost_only(archived: Callable[..., Context], local_store: Store) -> None:
    context = archived()
    whole = member("x", b"<p>x") + member("y", b"<p>" + bytes(range(256)) * 20)
    local_store.write(f"archive/docs/{DAY}/b.warc.gz", whole[:-60])
    counts = crawl(context, DAY, today=TODAY).counts
    assert counts["skipped"] == {"truncated": 1}
    assert counts["documents"] == 4  # the truncated page is seen, and cleaning rejects it


def test_an_absolute_folder_is_read_without_its_neighbours(
    tmp_path: Path, make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]
) -> None:
    folder = tmp_path / "far" / DAY
    folder.mkdir(parents=True)
    (folder / "a.warc.gz").write_bytes(member("a", b"<p>a"))
    (folder / "plain.warc").write_bytes(gzip.decompress(member("b", b"<p>b")))
    for pattern in (f"{tmp_path}/far/{{partition}}/*", f"file://{tmp_path}/far/{{partition}}/*"):
        context = make_context(make_corpus(source={"history": {"archive": {"path": pattern}}}))
        assert crawl(context, DAY, today=TODAY, force=True).counts["documents"] == 2
    found = find(context, f"{tmp_path}/far/{{partition}}/a.*", DAY)
    assert [one.url for one in found] == [f"file://{folder}/a.warc.gz"]
    shutil.rmtree(folder)
    with pytest.raises(BadInput, match="nothing matches"):
        find(context, f"{tmp_path}/far/{{partition}}/*", DAY)


@pytest.mark.parametrize("path", ["https://example.org/x", "archive/{day}/x"])
def test_a_wrong_pattern_is_a_wrong_configuration(make_corpus: Callable[..., Any], path: str) -> None:
    with pytest.raises(ValueError, match=r"expected a path|unknown placeholder \{day\}"):
        make_corpus(source={"history": {"archive": {"path": path}}})
