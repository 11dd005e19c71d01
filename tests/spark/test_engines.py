"""Whatever engine a corpus names, its rows are the same: files, counts and fingerprints, on a real local Spark."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog import Manifest
from tasks.clean import clean_all
from tasks.config import Corpus
from tasks.crawl import crawl
from tasks.dedup import dedup
from tasks.prepare import prepare, prepare_all
from tasks.step import Context, Shard
from tasks.store import open_store
from tasks.training.work import open_training
from tests.published import Days, texts

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

DAY = "2026-11-20"
STORY = "the moon rose over the quiet harbour while seven old boats slept along the wall and nobody spoke a word "
SPARK = {"master": "local[2]", "settings": {"spark.driver.memory": "512m"}}


@pytest.fixture
def make_engine(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], tmp_path: Path
) -> Callable[..., Context]:
    """A context by the name of its engine, on an empty store; at one URL, which is in the ids of unreadable rows."""

    def build(engine: str, **sections: Any) -> Context:
        corpus = make_corpus(engine=engine, spark=SPARK, **sections)
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        return make_context(corpus=corpus, store=open_store(f"file://{tmp_path}/store", {}))

    return build


def shards_of(context: Context, count: int) -> list[Manifest]:
    folder = f"clean/docs/{DAY}/shards"
    return [context.catalog.load(f"{folder}/{i}-of-{count}", made_by="clean") for i in range(count)]


def alike(manifest: Manifest) -> dict[str, Any]:
    return manifest.model_dump(exclude={"volatile": True, "files": {"__all__": {"etag"}}})


def test_cleaning_on_spark_makes_the_same_files(make_engine: Callable[..., Context], tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    # One file is much larger than the others, and some rows are no documents.
    for number, rows in enumerate((300, 20, 10)):
        with gzip.open(raw / f"{DAY}-{number}.jsonl.gz", "wt") as out:
            for row in range(rows):
                text = "short" if row % 7 == 0 else STORY * 3 + f"{number} {row}"
                document = {"id": f"{number}/{row}", "text": text, "label": "ab"[row % 2]}
                out.write((json.dumps(document) if row % 11 else "{no json") + "\n")
    section = {"path": f"{raw}/{{partition}}-*.jsonl.gz", "columns": {"id": "id", "text": "text", "label": "label"}}
    made = {}
    for engine in ("local", "spark"):
        context = make_engine(
            engine,
            source={"live": {"files": section}},
            clean={"shards": 2, "filters": [{"length": {"min_words": 10}}], "dedup": {"near": {"threshold": 0.8}}},
        )
        crawl(context, DAY, today=date.fromisoformat(DAY))
        result = clean_all(context, DAY)
        assert not result.noop
        assert result.counts["kept"] > 200
        assert set(result.counts["rejected"]) == {"length.words", "malformed"}
        made[engine] = [alike(manifest) for manifest in shards_of(context, 2)]
        assert clean_all(context, DAY).noop
        united = dedup(context, DAY)
        assert united.counts["rejected"]["near_duplicate"] > 100
        made[engine].append(alike(context.catalog.load(f"clean/docs/{DAY}", made_by="dedup")))
    assert made["spark"] == made["local"]


def test_counts_of_terms_are_the_same(make_engine: Callable[..., Context], tmp_path: Path) -> None:
    made = {}
    for engine in ("local", "spark"):
        context = make_engine(engine, train={"recipe": "tfidf_forest", "shards": 3})
        days = Days(context, tmp_path)
        days.publish(DAY, *texts(60))
        training = open_training(context, days.snapshot().result.manifest)
        shards = [Shard(index, 3) for index in range(3)]
        if engine == "spark":
            assert not prepare_all(context, training).noop
        # Under Spark these are no-ops that say what was committed.
        results = [prepare(context, training, shard) for shard in shards]
        assert all(result.noop for result in results) == (engine == "spark")
        made[engine] = [alike(context.catalog.load(training.features(shard), made_by="prepare")) for shard in shards]
    assert made["spark"] == made["local"]
