"""`nightshift clean` and `nightshift dedup` over a store: a WARC in, a partition out, the same bytes again."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from tasks.catalog import Catalog, Manifest
from tasks.clean import clean, clean_all
from tasks.config import Corpus
from tasks.dedup import dedup
from tasks.errors import BadInput, Corrupt, Quarantined
from tasks.step import Context, Shard
from tasks.store import Store
from tests.conftest import CORPUS

pytestmark = pytest.mark.integration

DAY = "2026-11-20"
MakeContext = Callable[..., Context]
MakeCorpus = Callable[..., Corpus]


class Warc:
    """A WARC file in the making, with records as a crawl writes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._writer = WARCWriter(self._file, gzip=True)

    def page(self, url: str, body: str | bytes, at: int = 0, status: str = "200 OK") -> Warc:
        self._write("response", url, body.encode() if isinstance(body, str) else body, at, status)
        return self

    def gone(self, url: str, at: int = 0) -> Warc:
        return self.page(url, "gone", at, "404 Not Found")

    def unchanged(self, url: str, at: int = 0) -> Warc:
        self._write("revisit", url, b"", at, "304 Not Modified")
        return self

    def close(self) -> Path:
        self._file.close()
        return self.path

    def _write(self, kind: str, url: str, body: bytes, at: int, status: str) -> None:
        http = StatusAndHeaders(status, [("Content-Type", "text/html; charset=utf-8")], protocol="HTTP/1.1")
        date = {"WARC-Date": f"{DAY}T00:00:{at:02}Z"}
        self._file.write(b"")
        self._writer.write_record(
            self._writer.create_warc_record(
                url, kind, payload=io.BytesIO(body), http_headers=http, warc_headers_dict=date
            )
        )


def article(topic: str, sentences: int = 30) -> str:
    lines = "".join(
        f"<p>This is sentence {i} about {topic}, and it is one of the many that are.</p>" for i in range(sentences)
    )
    return f"<html><head><title>On {topic}</title></head><body><main>{lines}</main></body></html>"


def commit_raw(context: Context, *paths: Path, role: str = "warc", **details: Any) -> Manifest:
    """A raw partition of these files, as `nightshift crawl` commits it."""
    folder = f"raw/{context.corpus.corpus}/{DAY}"
    files = [
        context.catalog.add_file(folder, role, path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths
    ]
    manifest = Manifest(
        step="crawl",
        corpus=context.corpus.corpus,
        partition=DAY,
        fingerprint="f",
        code={},
        config="",
        files=tuple(files),
        details={"source": "crawl", "format": "warc"} | details,
    )
    context.catalog.commit(folder, manifest)
    return manifest


def rows(context: Context, manifest: Manifest, role: str) -> list[dict[str, Any]]:
    found = []
    for entry in manifest.of_role(role):
        with context.store.open(entry.key) as stream:
            found += pq.read_table(io.BytesIO(stream.read())).to_pylist()
    return found


def current(context: Context, url: str) -> Manifest:
    manifest = context.catalog.current(context.catalog.folder(url))
    assert manifest
    return manifest


@pytest.fixture
def corpus(make_corpus: MakeCorpus) -> Corpus:
    return make_corpus(
        clean={
            "labels": [{"pattern": "^http://(?P<label>[a-z]+)/"}],
            "filters": [{"length": {"min_words": 20}}],
            "shards": 3,
        }
    )


@pytest.fixture
def site(tmp_path: Path) -> list[Path]:
    return [
        Warc(tmp_path / "a.warc.gz")
        .page("http://trains/1", article("night trains"), 1)
        .page("http://trains/2", "<p>too short")
        .page("http://trains/3", article("old trains"), 1)
        .unchanged("http://trains/4")
        .close(),
        Warc(tmp_path / "b.warc.gz")
        .page("http://trains/3", article("new trains"), 5)
        .page("http://ships/1", article("night trains"), 2)
        .gone("http://ships/2")
        .gone("http://trains/1", 0)
        .close(),
    ]


def test_a_partition_is_cleaned_shard_by_shard_and_united(
    make_context: MakeContext, corpus: Corpus, site: list[Path]
) -> None:
    context = make_context(corpus)
    commit_raw(context, *site)
    shards = [clean(context, DAY, Shard(index, 2)) for index in range(2)]
    assert sorted(shard.counts["documents"] for shard in shards) == [2, 3]
    united = dedup(context, DAY)
    assert united.counts == {
        "documents": 5,
        "kept": 2,
        "rejected": {"duplicate": 1, "length.words": 1, "superseded": 1},
        "deletions": 1,
        "languages": {"en": 2},
        "labels": {"trains": 2},
        "unchanged": 1,
    }
    manifest = current(context, united.manifest)
    documents = rows(context, manifest, "documents")
    assert {row["url"] for row in documents} == {"http://trains/1", "http://trains/3"}
    assert {row["title"] for row in documents} == {"On night trains", "On new trains"}
    assert all(row["m_length_words"] > 20 and row["group"] == "trains" for row in documents)
    assert {row["reason"] for row in rows(context, manifest, "rejects")} == {"duplicate", "length.words", "superseded"}
    assert [row["url"] for row in rows(context, manifest, "deletions")] == ["http://ships/2"]
    assert sum(entry.rows for entry in manifest.of_role("documents")) == 2


def test_the_same_again_does_nothing(make_context: MakeContext, corpus: Corpus, site: list[Path]) -> None:
    context = make_context(corpus)
    commit_raw(context, *site)
    first, united = clean_all(context, DAY), dedup(context, DAY)
    again, united_again = clean_all(context, DAY), dedup(context, DAY)
    assert (first.noop, united.noop, again.noop, united_again.noop) == (False, False, True, True)
    assert (again.counts, united_again.counts) == (first.counts, united.counts)


def test_two_runs_on_two_stores_make_the_same_bytes(
    make_context: MakeContext, s3_store: Store, corpus: Corpus, site: list[Path]
) -> None:
    digests = []
    for store, workers in ((None, 1), (s3_store, 2)):
        context = make_context(corpus, store=store)
        commit_raw(context, *site)
        clean_all(context, DAY, workers=workers)
        digests.append(current(context, dedup(context, DAY).manifest).digest())
    assert digests[0] == digests[1]


def test_a_night_on_which_nothing_changed_is_a_valid_partition(
    make_context: MakeContext, corpus: Corpus, tmp_path: Path
) -> None:
    context = make_context(corpus)
    commit_raw(context)
    assert clean_all(context, DAY).counts["documents"] == 0
    assert dedup(context, DAY).counts["kept"] == 0
    commit_raw(context, Warc(tmp_path / "a.warc.gz").unchanged("http://a/1").unchanged("http://a/2").close())
    assert clean_all(context, DAY).counts == {"documents": 0, "kept": 0, "rejected": {}, "deletions": 0, "unchanged": 2}
    assert dedup(context, DAY).counts["unchanged"] == 2


def test_rows_are_cleaned_like_pages(make_context: MakeContext, corpus: Corpus, tmp_path: Path) -> None:
    context = make_context(corpus)
    path = tmp_path / "rows.jsonl"
    prose = "This is a row about trains, and it is one of the many that are. " * 9
    lines = [
        {"id": 1, "body": prose, "kind": "x"},
        {"id": 1, "body": prose + "Newer.", "kind": "x"},
        {"id": 2, "body": "-"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n{broken")
    columns = {"id": "id", "text": "body", "label": "kind"}
    commit_raw(context, path, role="rows", format="jsonl", columns=columns)
    clean_all(context, DAY)
    united = dedup(context, DAY)
    assert united.counts["labels"] == {"x": 1}
    assert united.counts["rejected"] == {"length.words": 1, "malformed": 1, "superseded": 1}
    (document,) = rows(context, current(context, united.manifest), "documents")
    assert document["text"].endswith("Newer.")


def test_only_what_shapes_the_output_voids_the_no_op(
    make_context: MakeContext, make_corpus: MakeCorpus, corpus: Corpus, site: list[Path]
) -> None:
    context = make_context(corpus)
    commit_raw(context, *site)
    clean_all(context, DAY)
    settings = corpus.clean.model_dump(mode="json")
    other_gate = make_corpus(clean=settings, gates={"clean": {"min_rows": 3}})
    assert clean_all(make_context(other_gate), DAY).noop
    near = make_corpus(clean=settings | {"dedup": {"near": {}}})
    assert clean_all(make_context(near), DAY).noop
    other_filter = make_corpus(clean=settings | {"filters": [{"length": {"min_words": 2}}]})
    assert not clean_all(make_context(other_filter), DAY).noop


def test_a_list_that_says_something_else_voids_the_no_op(
    make_context: MakeContext, make_corpus: MakeCorpus, corpus: Corpus, site: list[Path], tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("zzzz\n")
    filters = [*corpus.clean.model_dump(mode="json")["filters"], {"bad_words": {"files": {"*": str(words)}}}]
    context = make_context(make_corpus(clean=corpus.clean.model_dump(mode="json") | {"filters": filters}))
    commit_raw(context, *site)
    first = clean_all(context, DAY)
    assert clean_all(context, DAY).noop
    words.write_text("night\n")
    again = clean_all(context, DAY)
    assert not again.noop
    assert again.counts["rejected"]["bad_words.words"] == first.counts["kept"] - again.counts["kept"] == 2


def test_altered_raw_bytes_are_named_and_void_the_no_op(
    make_context: MakeContext, corpus: Corpus, site: list[Path]
) -> None:
    context = make_context(corpus)
    entry = commit_raw(context, *site).files[0]
    clean_all(context, DAY)
    data = bytearray(context.store.read(entry.key))
    data[100] ^= 1
    context.store.write(entry.key, bytes(data))
    with pytest.raises(Corrupt, match=entry.key):
        clean_all(context, DAY)


def test_a_missing_part_is_made_anew(make_context: MakeContext, corpus: Corpus, site: list[Path]) -> None:
    context = make_context(corpus)
    commit_raw(context, *site)
    clean_all(context, DAY)
    before = current(context, dedup(context, DAY).manifest)
    context.store.delete(before.of_role("documents")[0].key)
    after = dedup(context, DAY)
    assert not after.noop
    assert current(context, after.manifest).digest() == before.digest()
    shard = next(context.catalog.folders(f"clean/docs/{DAY}/shards"))
    lost = context.catalog.current(shard)
    assert lost
    context.store.delete(lost.files[0].key)
    with pytest.raises(Corrupt, match=r"run `nightshift clean .* --shard"):
        dedup(context, DAY)


def test_a_file_that_is_no_warc_is_named(make_context: MakeContext, corpus: Corpus, tmp_path: Path) -> None:
    context = make_context(corpus)
    path = tmp_path / "x.warc.gz"
    path.write_bytes(b"this is not a WARC file" * 1000)
    entry = commit_raw(context, path).files[0]
    with pytest.raises(Corrupt, match=entry.key):
        clean_all(context, DAY)


def test_steps_in_the_wrong_order_say_what_to_run(make_context: MakeContext, corpus: Corpus, site: list[Path]) -> None:
    context = make_context(corpus)
    with pytest.raises(BadInput, match="run `nightshift crawl"):
        clean(context, DAY, Shard(0, 1))
    raw = commit_raw(context, *site)
    with pytest.raises(BadInput, match=r"run `nightshift clean .*--shard 0/2"):
        dedup(context, DAY)
    with pytest.raises(BadInput, match=r"makes 2 shard\(s\), not 4"):
        clean(context, DAY, Shard(0, 4))
    clean_all(context, DAY)
    commit_raw(context, *reversed(site), extra="another crawl")
    with pytest.raises(BadInput, match="other raw input"):
        dedup(context, DAY)
    context.catalog.quarantine.put(raw, stage="raw", failures=["x"], at="now")
    commit_raw(context, *site)
    with pytest.raises(Quarantined):
        clean(context, DAY, Shard(0, 2))


def test_a_shard_killed_at_any_moment_leaves_nothing_and_is_made_the_same(
    make_context: MakeContext, corpus: Corpus, tmp_path: Path
) -> None:
    warc = Warc(tmp_path / "big.warc.gz")
    for number in range(400):
        warc.page(f"http://trains/{number}", article(f"train {number}", 200), number % 60)
    context = make_context(corpus)
    commit_raw(context, warc.close())
    folder = tmp_path / "corpora"
    folder.mkdir()
    described = CORPUS | {"clean": json.loads(corpus.clean.model_dump_json())}
    (folder / "docs.yaml").write_text(yaml.safe_dump(described))
    program = "from tasks.cli import main; main()"
    command = [sys.executable, "-c", program, "clean", "--corpus", str(folder / "docs.yaml"), "--partition", DAY]
    command += ["--shard", "0/1", "--store", context.store.url, "--json"]

    # Killed while it starts, while it parses, and once the first file is on the store.
    moments: list[Callable[[psutil.Process], bool]] = [
        lambda process: len(process.children(recursive=True)) >= 1,
        lambda process: len(process.children(recursive=True)) >= 2,
        lambda process: any(context.store.list("clean/")),
    ]
    for moment in moments:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        watched = psutil.Process(process.pid)
        while process.poll() is None and not moment(watched):
            time.sleep(0.01)
        process.kill()
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["counts"]["kept"] == 400
    killed = Catalog(context.store).current(f"clean/docs/{DAY}/shards/0-of-1")

    other = make_context(corpus, store=type(context.store)(f"file://{tmp_path}/undisturbed"))
    commit_raw(other, warc.path)
    undisturbed = current(other, clean(other, DAY, Shard(0, 1)).manifest)
    assert killed
    assert killed.digest() == undisturbed.digest()
    assert [f.sha256 for f in killed.files] == [f.sha256 for f in undisturbed.files]
