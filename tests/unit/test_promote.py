"""From a candidate that passed its gate to the champion, also when the promoter is killed on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tasks.catalog import Catalog, Release
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt, GateFailed, Quarantined, StoreError
from tasks.model_registry import Registry, champion
from tasks.step import Context
from tests.champions import LATER, NOW, Killed, Mortal, candidate, crowned, judge, keyword_corpus, model, promoted


@pytest.fixture
def context(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]) -> Context:
    return make_context(keyword_corpus(make_corpus))


def registry_of(context: Context) -> Registry:
    return Registry(context.catalog, "docs")


def test_a_candidate_that_passed_becomes_the_champion(context: Context) -> None:
    training = candidate(context)
    result = promoted(context, training, by="airflow:run")
    assert result.counts == {"version": 1, "accuracy": 1.0, "macro_f1": 1.0}
    assert (result.noop, result.message) == (False, "version 1 is the champion")
    found = champion(context.catalog, "docs")
    assert found is not None
    assert (found.version, found.run, found.recipe, found.label) == (1, training.run, "keyword", "label")
    assert found.metrics["test"]["accuracy"] == 1.0
    assert found.snapshot_digest == training.snapshot.digest()
    assert set(found.code) == {"nightshift", "merge", "recipe"}
    (record,) = registry_of(context).audits()
    assert (record.by, record.at, record.metrics_before) == ("airflow:run", NOW.isoformat(), None)
    assert record.metrics_after == found.metrics


def test_promoting_the_champion_again_does_nothing_and_says_so(context: Context) -> None:
    training = crowned(context)
    before = [(info.key, info.etag) for info in context.store.list("")]
    result = promoted(context, training)
    assert (result.noop, result.message) == (True, "version 1 is the champion already")
    assert [(info.key, info.etag) for info in context.store.list("")] == before


def test_a_better_candidate_replaces_the_champion_and_says_which(context: Context) -> None:
    crowned(context)
    result = promoted(context, candidate(context, seed=1))
    assert result.message == "version 2 is the champion in place of version 1"
    assert registry_of(context).audits()[-1].previous == 1


def test_a_promotion_killed_after_any_write_is_completed_by_its_retry(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], context: Context
) -> None:
    for last in range(1, 100):
        first = crowned(context, seed=10 * last)
        second = candidate(context, seed=10 * last + 1)
        before = champion(context.catalog, "docs")
        assert before is not None and before.run == first.run
        store = Mortal(context.store, last)
        dying = replace(context, store=store, catalog=Catalog(store))
        try:
            promoted(dying, second)
        except Killed:
            pass
        else:
            assert len(store.writes) == last - 1
            break
        # Whatever was written, a champion is in use, and it is one of the two.
        between = champion(context.catalog, "docs")
        assert between is not None and between.run in (first.run, second.run)
        retried = promoted(context, second)
        assert not retried.noop or last == len(store.writes)
        after = registry_of(context).head()
        assert after.pointed and after.champion is not None and after.champion.run == second.run
        records = registry_of(context).audits()
        assert [record.version for record in records[-2:]] == [before.version, before.version + 1]
        assert len(records) == len(registry_of(context).versions()) == 2 * last
        assert promoted(context, second).noop
    else:
        pytest.fail("a promotion should be done after fewer writes")
    assert last == 5  # version, index, audit, pointer, and the one that died of nothing


@pytest.mark.parametrize("stale", ["model", "report"])
def test_a_gate_that_judged_an_older_candidate_does_not_count(context: Context, stale: str) -> None:
    training = candidate(context)
    gate = context.store.read(f"gates/docs/model/{training.run}/_manifest.json")
    if stale == "model":
        model(context, training, {"a": "b", "b": "a"})
    judge(context, training)
    if stale == "report":
        crowned(context, seed=1)  # so that its evaluation compares it with another champion
        judge(context, training)
    context.store.write(f"gates/docs/model/{training.run}/_manifest.json", gate)
    with pytest.raises(BadInput, match=r"judged by its gate before .*`nightshift gate model --corpus docs"):
        promoted(context, training)


def test_a_candidate_that_no_gate_judged_is_refused(context: Context) -> None:
    training = candidate(context)
    context.store.delete(f"gates/docs/model/{training.run}/_manifest.json")
    with pytest.raises(BadInput, match="was not judged by a gate"):
        promoted(context, training)
    assert champion(context.catalog, "docs") is None


def test_a_rejected_candidate_is_promoted_only_after_its_release(context: Context) -> None:
    training = candidate(context, passed=False)
    with pytest.raises(Quarantined, match="quarantined by gate model"):
        promoted(context, training)
    merged = context.catalog.current(training.model())
    assert merged is not None
    record = f"quarantine/docs/{merged.digest()}.json"
    kept = context.store.read(record)
    context.store.delete(record)
    with pytest.raises(GateFailed, match=r"failed gate model: accuracy: observed 0\.1.*nightshift release"):
        promoted(context, training)
    context.store.write(record, kept)
    context.catalog.quarantine.release(merged, Release(by="me", reason="known", at=LATER.isoformat()))
    assert promoted(context, training).counts["version"] == 1


def test_a_candidate_compared_with_another_champion_than_the_present_one_is_refused(context: Context) -> None:
    training = candidate(context)
    crowned(context, seed=1)
    with pytest.raises(BadInput, match="compared with no champion, but version 1 is the champion now"):
        promoted(context, training)
    judge(context, training)
    assert promoted(context, training).counts["version"] == 2


def test_a_candidate_with_a_lost_file_is_refused(context: Context) -> None:
    training = candidate(context)
    context.store.delete(context.catalog.load(training.model(), made_by="merge").files[0].key)
    with pytest.raises(Corrupt, match=r"run `nightshift merge --corpus docs --snapshot"):
        promoted(context, training)


def test_without_mlflow_answering_nothing_changes_and_the_retry_goes_through(context: Context) -> None:
    crowned(context)
    training = candidate(context, seed=1)
    without = replace(context, env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    with pytest.raises(StoreError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"):
        promoted(without, training)
    now = champion(context.catalog, "docs")
    assert now is not None and now.version == 1
    assert promoted(context, training).counts["version"] == 2


@pytest.mark.parametrize("uri", ["sqlite:///x.db", "databricks", "http://", "postgresql://mlflow:hunter2@db/mlflow"])
def test_a_tracking_uri_that_is_no_server_is_bad_input(context: Context, uri: str) -> None:
    training = candidate(context)
    with pytest.raises(BadInput, match="expected http") as caught:
        promoted(replace(context, env={"MLFLOW_TRACKING_URI": uri}), training)
    assert "hunter2" not in str(caught.value)


def test_promoting_loads_neither_mlflow_nor_scikit_learn() -> None:
    import subprocess
    import sys

    code = (
        "import sys, tasks.promote, tasks.rollback, tasks.model_registry.mirror;"
        "print([m for m in ('mlflow', 'sklearn', 'pandas') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
