"""The stages that run on Spark, in this process and with their rows shuffled in between: the same files as without."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.catalog import Manifest
from tasks.clean import clean_all, load_raw
from tasks.config import Corpus
from tasks.crawl import crawl
from tasks.errors import NightshiftError
from tasks.prepare import counted, prepare_all
from tasks.spark.pages import Cleaning
from tasks.spark.session import Remote
from tasks.step import Context, Shard
from tasks.training import Training

DAY = "2026-11-20"


def test_pages_that_took_any_way_make_the_same_files(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], tmp_path: Path
) -> None:
    corpus = make_corpus(**sections(tmp_path))
    context = make_context(corpus=corpus)
    crawl(context, DAY, today=date.fromisoformat(DAY))
    clean_all(context, DAY)
    folders = [f"clean/docs/{DAY}/shards/{index}-of-2" for index in range(2)]
    manifests = [context.catalog.load(folder, made_by="clean") for folder in folders]

    _, partition = load_raw(context.catalog, "docs", DAY)
    job = Cleaning(Remote.of(context), DAY, partition, (Shard(0, 2), Shard(1, 2)))
    asked = iter([pa.RecordBatch.from_pydict({"id": [0, 1]})])
    pages = shuffled(pa.Table.from_batches(job.read(asked)))
    outcomes = pa.Table.from_batches(job.refine(pages)).sort_by([("shard", "ascending"), ("place", "ascending")])
    written: list[dict[str, Any]] = pa.Table.from_batches(job.write(iter(outcomes.to_batches(37)))).to_pylist()

    results = {row["shard"]: json.loads(row["result"]) for row in written}
    assert sorted(results) == [0, 1]
    for number, manifest in enumerate(manifests):
        assert [file["sha256"] for file in results[number]["files"]] == [file.sha256 for file in manifest.files]
        assert results[number]["counts"] == manifest.counts


def test_no_page_is_cleaned_in_a_driver(
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = make_context(corpus=make_corpus(**sections(tmp_path)))
    crawl(context, DAY, today=date.fromisoformat(DAY))
    clean_all(context, DAY)
    asked: list[list[Shard]] = []

    def clean_shards(context: Context, partition: str, raw: Manifest, shards: list[Shard]) -> Iterator[Any]:
        asked.append(shards)
        for shard in shards:
            old = context.catalog.load(f"clean/docs/{partition}/shards/{shard.folder}", made_by="clean")
            yield shard, list(old.files), old.counts

    monkeypatch.setattr("tasks.spark.pages.clean_shards", clean_shards)
    monkeypatch.setattr("tasks.clean._write", lambda *_: pytest.fail("a shard was cleaned by the driver"))

    def again(*filters: Any) -> Context:
        corpus = make_corpus(engine="spark", **sections(tmp_path, *filters))
        return make_context(corpus=corpus)

    # What was measured tells all.
    assert not clean_all(again({"length": {"min_words": 30}}), DAY).noop
    assert asked == []
    # How sure the language is was not kept.
    certain = again({"length": {"min_words": 30}}, {"language": {"keep": ["en"]}})
    assert not clean_all(certain, DAY).noop
    assert asked == [[Shard(0, 2), Shard(1, 2)]]
    assert clean_all(certain, DAY).noop
    assert len(asked) == 1


def test_shards_that_spark_lost_are_no_success(
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = make_context(corpus=make_corpus(engine="spark", **sections(tmp_path)))
    crawl(context, DAY, today=date.fromisoformat(DAY))
    monkeypatch.setattr("tasks.spark.pages.clean_shards", lambda *_: iter(()))
    with pytest.raises(NightshiftError, match="gave nothing of shards 0/2, 1/2"):
        clean_all(context, DAY)


def test_counts_that_spark_lost_are_no_success_and_those_that_came_are_not_made_again(
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    make_snapshot: Callable[..., Manifest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = make_context(corpus=make_corpus(engine="spark", train={"recipe": "tfidf_forest", "shards": 3}))
    snapshot = make_snapshot(context, train=[{"text": f"word {row}", "label": "ab"[row % 2]} for row in range(9)])
    training = Training.of(context.corpus, snapshot)
    asked: list[list[Shard]] = []

    def count_shards(context: Context, snapshot: str, shards: list[Shard]) -> Iterator[Any]:
        asked.append(shards)
        for shard in shards[:2]:  # the rest is lost with Java
            yield shard, *counted(context, training, shard)

    monkeypatch.setattr("tasks.spark.counts.count_shards", count_shards)
    with pytest.raises(NightshiftError, match="gave nothing of shards 2/3: "):
        prepare_all(context, training)
    assert not prepare_all(context, training).noop
    assert prepare_all(context, training).noop
    assert asked == [list(training.shards), [Shard(2, 3)]]


def sections(folder: Path, *filters: Any) -> dict[str, Any]:
    """A corpus of two files, one much larger than the other, some of whose rows are no documents."""
    (raw := folder / "raw").mkdir(exist_ok=True)
    for number, rows in enumerate((150, 10)):
        with gzip.open(raw / f"{DAY}-{number}.jsonl.gz", "wt") as out:
            for row in range(rows):
                text = "short" if row % 7 == 0 else f"{number} {row} " * 20
                out.write((json.dumps({"id": f"{number}/{row}", "text": text}) if row % 11 else "{no json") + "\n")
    section = {"path": f"{raw}/{{partition}}-*.jsonl.gz", "columns": {"id": "id", "text": "text"}}
    return {
        "source": {"live": {"files": section}},
        "clean": {"shards": 2, "filters": list(filters or [{"length": {"min_words": 10}}])},
    }


def shuffled(table: pa.Table) -> Iterator[pa.RecordBatch]:
    order = list(range(table.num_rows))
    random.Random(0).shuffle(order)
    return iter(table.take(pa.array(order)).combine_chunks().to_batches(50))
