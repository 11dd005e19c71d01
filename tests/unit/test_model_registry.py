"""Versions, changes and the pointer: what a reader sees whatever happened to a writer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tasks.catalog import Catalog, Release
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt, StoreError
from tasks.model_registry import Backed, Registry, Version, champion, settled, versions
from tasks.step import Context
from tasks.store import Store
from tests.champions import LATER, NOW, candidate, crowned, keyword_corpus

MakeContext = Callable[..., Context]
POINTER = "models/docs/registry/champion.json"


@pytest.fixture
def registry(local_store: Store) -> Registry:
    return Registry(Catalog(local_store), "docs")


@pytest.fixture
def context(make_context: MakeContext, make_corpus: Callable[..., Corpus]) -> Context:
    return make_context(keyword_corpus(make_corpus))


def version(run: str = "r1", digest: str = "d1") -> Version:
    values: dict[str, Any] = dict.fromkeys(("report", "report_digest", "snapshot", "snapshot_digest"), "")
    return Version(
        version=0,
        corpus="docs",
        run=run,
        folder=f"models/docs/{run}",
        digest=digest,
        recipe="keyword",
        metrics={"validation": {"accuracy": 0.5}},
        code={},
        created=NOW.isoformat(),
        **values,
    )


def backed(number: int) -> Backed:
    return Backed(version=number, url="file:///b", files=1, bytes=1, verified=True, at=NOW.isoformat())


def test_before_the_first_promotion_there_is_no_champion_and_no_version(local_store: Store) -> None:
    catalog = Catalog(local_store)
    assert champion(catalog, "docs") is None
    assert versions(catalog, "docs") == []
    assert settled(catalog, "docs", "r1") is None


def test_versions_are_numbered_from_one_and_a_model_gets_one_number(registry: Registry) -> None:
    assert registry.add(version("r1")).version == 1
    assert registry.add(version("r2")).version == 2
    assert registry.add(version("r1")).version == 1
    assert registry.add(version("r1", "merged anew")).version == 3
    assert [each.version for each in registry.versions()] == [1, 2, 3]


def test_promotions_at_once_get_different_numbers(registry: Registry) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(registry.add, [version(f"r{i}") for i in range(8)]))
    assert sorted(each.version for each in made) == list(range(1, 9))


def test_the_same_promotion_twice_at_once_gets_one_number(registry: Registry) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(registry.add, [version("r1")] * 8))
    assert {each.version for each in made} == {1}
    assert len(registry.versions()) == 1


def test_a_promotion_overtaken_by_its_twin_between_looking_and_writing_takes_the_twin_s_number(
    registry: Registry, local_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = local_store.list

    def overtaken(prefix: str) -> list[Any]:
        found = list(listing(prefix))
        monkeypatch.setattr(local_store, "list", listing)
        registry.add(version("r1"))
        return found

    monkeypatch.setattr(local_store, "list", overtaken)
    assert registry.add(version("r1")).version == 1
    assert len(registry.versions()) == 1


def test_a_version_whose_index_was_never_written_is_found_again(registry: Registry, local_store: Store) -> None:
    registry.add(version("r1"))
    local_store.delete("models/docs/registry/runs/r1.json")
    assert registry.of_run("r1") is None
    assert registry.add(version("r1")).version == 1
    assert registry.of_run("r1") == registry.version(1)


def test_of_two_changes_that_saw_the_same_champion_one_is_refused(registry: Registry) -> None:
    first, second = registry.add(version("r1")), registry.add(version("r2"))
    seen = registry.head()
    registry.change("promote", first, by="a", at=NOW, after=seen)
    with pytest.raises(StoreError, match=r"another change of the champion of docs .*000001\.json"):
        registry.change("promote", second, by="b", at=NOW, after=seen)
    assert registry.champion() == first
    registry.change("promote", second, by="b", at=NOW)
    assert [(each.version, each.previous) for each in registry.audits()] == [(1, None), (2, 1)]


def test_a_change_is_recorded_with_who_when_why_and_both_metrics(registry: Registry) -> None:
    registry.change("promote", registry.add(version("r1")), by="a", at=NOW)
    better = version("r2").model_copy(update={"metrics": {"validation": {"accuracy": 0.9}}, "snapshot_digest": "s"})
    registry.change("promote", registry.add(better), by="b", at=LATER, reason="better")
    record = registry.audits()[-1]
    assert (record.action, record.by, record.reason, record.at) == ("promote", "b", "better", LATER.isoformat())
    assert record.metrics_before == {"validation": {"accuracy": 0.5}}
    assert record.metrics_after == {"validation": {"accuracy": 0.9}}
    assert record.snapshot_digest == "s"


@pytest.mark.parametrize("lost", ["never written", "an older one"])
def test_the_newest_change_counts_whatever_the_pointer_says(registry: Registry, local_store: Store, lost: str) -> None:
    registry.change("promote", registry.add(version("r1")), by="a", at=NOW)
    old = local_store.read(POINTER)
    for run in ("r2", "r3"):
        registry.change("promote", registry.add(version(run)), by="a", at=NOW)
    if lost == "never written":
        local_store.delete(POINTER)
    else:
        local_store.write(POINTER, old)
    head = registry.head()
    assert (head.sequence, head.champion, head.pointed) == (3, registry.version(3), False)
    registry.point(head)
    assert registry.head().pointed


def test_an_unreadable_record_is_named_with_what_to_do(registry: Registry, local_store: Store) -> None:
    registry.change("promote", registry.add(version("r1")), by="a", at=NOW)
    local_store.write(POINTER, b"{")
    with pytest.raises(Corrupt, match=r"champion\.json is not a readable record; delete it"):
        registry.champion()
    local_store.delete(POINTER)
    local_store.write("models/docs/registry/versions/000001.json", b"[]")
    with pytest.raises(Corrupt, match=r"versions/000001\.json is not a readable record; bring it back with"):
        registry.champion()
    local_store.delete("models/docs/registry/versions/000001.json")
    with pytest.raises(Corrupt, match="names a record that is not there"):
        registry.champion()


def test_an_unknown_version_is_refused_with_the_ones_there_are(registry: Registry) -> None:
    with pytest.raises(BadInput, match="no version 7; known: none"):
        registry.version(7)
    registry.add(version("r1"))
    with pytest.raises(BadInput, match="no version 7; known: 1"):
        registry.version(7)


def test_a_training_is_settled_once_it_is_promoted_and_backed_up(context: Context) -> None:
    training = crowned(context)
    registry = Registry(context.catalog, "docs")
    assert settled(context.catalog, "docs", training.run) is None
    registry.set_backed(backed(1))
    reason = settled(context.catalog, "docs", training.run)
    assert reason == "promoted as version 1 and backed up at file:///b"


def test_a_version_with_a_lost_file_is_not_settled(context: Context) -> None:
    training = crowned(context)
    Registry(context.catalog, "docs").set_backed(backed(1))
    model = context.catalog.load(training.model(), made_by="merge")
    context.store.delete(model.files[0].key)
    assert settled(context.catalog, "docs", training.run) is None
    context.store.delete(f"{training.model()}/manifests/{model.digest()}.json")
    assert settled(context.catalog, "docs", training.run) is None


def test_a_training_whose_gate_rejected_it_is_settled_until_it_is_released(context: Context) -> None:
    training = candidate(context, passed=False)
    reason = settled(context.catalog, "docs", training.run)
    assert reason is not None and reason.startswith("rejected by gate model: accuracy: observed 0.1")
    merged = context.catalog.current(training.model())
    assert merged is not None
    context.catalog.quarantine.release(merged, Release(by="me", reason="known", at=str(NOW + timedelta(hours=1))))
    assert settled(context.catalog, "docs", training.run) is None


def test_a_training_whose_features_were_rejected_is_settled(context: Context) -> None:
    training = candidate(context)
    merged = context.catalog.current(training.model())
    assert merged is not None
    rejected = merged.model_copy(update={"step": "combine"})
    context.catalog.commit(training.features(), rejected)
    context.catalog.quarantine.put(rejected, stage="features", failures=["train_rows: 3"], at=str(NOW))
    reason = settled(context.catalog, "docs", training.run)
    assert reason is not None and reason.startswith("rejected by gate features: train_rows: 3")
