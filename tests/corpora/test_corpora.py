"""Every example corpus from its source to a champion of two workers or shards, under the real scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest

from containers.embedded.stack import BACKUP, STORE, Stack
from tasks.backups.vault import Vault
from tasks.catalog import Catalog
from tasks.model_registry import Registry
from tasks.store import open_store
from tests.e2e.test_demo import Demo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

CORPORA = {
    "clusters": {"predicted", "confidence", "distance"},
    "docs": {"predicted", "confidence", "probabilities"},
    "images": {"predicted", "confidence", "probabilities"},
    "imports": {"user", "known", "items", "scores"},
    "summaries": {"summary", "places", "probabilities"},
    "table": {"predicted"},
    "tags": {"tokens", "tags", "entities"},
    "text": {"perplexity", "bits_per_byte", "log_likelihood", "words", "tokens"},
}
"""Each corpus, and what its champion says of a file that it never saw."""
STAGES = ["raw", "clean", "splits", "features", "model"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("corpora"), KEEP="1")  # what lies in its store is looked at
    yield demo
    assert "is" in demo.call("down")


@pytest.mark.parametrize("corpus", CORPORA)
def test_a_corpus_ends_with_a_champion_of_two_workers_that_predicts_what_it_never_saw(place: Demo, corpus: str) -> None:
    said = place.call("demo", f"--out={place.summary_file}", f"--corpus={corpus}", seconds=1800)
    summary = place.summary()
    assert summary["corpus"] == corpus
    assert {stage: verdict["passed"] for stage, verdict in summary["gates"].items()} == dict.fromkeys(STAGES, True)
    assert summary["champion"]["version"] == 1
    assert summary["champion"]["metrics"]["test"]["rows"] > 0
    assert summary["backup"]["verified"] is True

    stack = Stack(place.home)
    store, backup = (open_store(url, stack.environment) for url in (STORE, BACKUP))
    catalog = Catalog(store)
    champion = Registry(catalog, corpus).champion()
    assert champion is not None
    assert _workers(catalog, champion.folder) == 2
    (copy,), bad = Vault(backup, corpus).backups()
    assert bad == []
    assert backup.url_of(f"{copy.folder}/_manifest.json") == summary["backup"]["url"]

    assert f"nightshift predict --corpus {corpus} --input " in said
    rows = pq.read_table(place.summary_file.parent / "prediction" / "predictions.parquet")
    assert rows.num_rows > 0
    assert CORPORA[corpus] <= set(rows.schema.names)
    assert rows.schema.metadata[b"nightshift.version"] == b"1"


def _workers(catalog: Catalog, folder: str) -> int:
    """How many processes trained a model: the workers of its parts, or the parts that shards made, one each."""
    manifests = [info.key for info in catalog.store.list(f"{folder}/parts/") if info.key.endswith("/_manifest.json")]
    parts = [json.loads(catalog.store.read(key)) for key in manifests]
    gangs: set[Any] = {part["volatile"]["workers"] for part in parts if "workers" in part["volatile"]}
    if gangs:
        (workers,) = gangs
        curves = [entry["key"] for part in parts for entry in part["files"] if entry["role"] == "curves"]
        (epoch, *_) = json.loads(catalog.store.read(curves[0]))
        assert all(worker["examples"] > 0 for worker in epoch["workers"]), "each worker had its share"
        return int(workers)
    return sum(part["counts"]["rows"] > 0 for part in parts)
