"""A search over parameters: what it reads, what it learns from, how it goes on, and what becomes of the winner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.errors import BadInput, Corrupt, Lacking
from tasks.evaluate import evaluate
from tasks.merge import merge
from tasks.search import conclude, search
from tasks.searching.hunt import Hunt
from tasks.searching.study import Record
from tasks.searching.trial import trial
from tasks.snapshot import _settled
from tasks.step import Context
from tasks.training.work import open_training
from tests.unit.test_evaluate_merge import fit, rows

SEARCH: dict[str, Any] = {
    "parameters": {"trees": {"low": 1, "high": 12}, "min_df": {"choices": [1, 2]}},
    "trials": 5,
    "parallel": 2,
    "startup": 2,
}
Start = Callable[..., tuple[Context, Hunt]]


@pytest.fixture
def start(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], make_snapshot: Callable[..., Manifest]
) -> Start:
    """``start(test=…, id=…, trials=…)``: a context and its search; ``search`` keys are replaced by name."""

    def begin(
        test: list[dict[str, Any]] | None = None,
        id: str = "a" * 16,
        train: list[dict[str, Any]] | None = None,
        shards: int = 2,
        **keys: Any,
    ) -> tuple[Context, Hunt]:
        section = {"recipe": {"tfidf_forest": {"trees": 8}}, "shards": shards}
        context = make_context(make_corpus(train=section, search={**SEARCH, **keys}))
        data = {"train": rows(60) if train is None else train, "validation": rows(24, seed=1)}
        snapshot = make_snapshot(context, id=id, **data, test=rows(20, seed=2) if test is None else test)
        return context, Hunt.of(context.corpus, snapshot)

    return begin


def record(context: Context, hunt: Hunt, number: int) -> Record:
    manifest = context.catalog.load(hunt.trial(number), made_by="search")
    return Record.from_json(manifest.details["trial"])


def test_the_best_trials_parameters_are_the_runs(start: Start) -> None:
    context, hunt = start()
    with pytest.raises(BadInput, match=r"not found yet: run `nightshift search --corpus docs --snapshot a{16}`"):
        open_training(context, "a" * 16)
    ended = search(context, hunt, "docs")
    records = [record(context, hunt, number) for number in range(5)]
    best = max(records, key=lambda each: (each.value or 0, -each.number))
    assert ended.counts["best"] == best.number
    assert ended.counts["macro_f1"] == best.value
    training = open_training(context, "a" * 16)
    params = training.corpus.train.recipe.params
    assert {"trees": params.trees, "min_df": params.min_df} == best.params
    fit(context, training)
    merge(context, training)
    evaluate(context, training, datetime(2026, 11, 21, tzinfo=UTC))
    model = context.catalog.load(training.model(), made_by="merge")
    assert model.details["params"]["trees"] == best.params["trees"]
    assert model.details["search"]["trial"] == best.number
    assert model.details["search"]["parameters"] == best.params
    report = context.catalog.load(training.report(), made_by="evaluate")
    assert {"trials", "importances"} <= set(report.details["plots"])
    html = context.store.read(report.of_role("report")[0].key).decode()
    assert f"trial {best.number} is the best" in html
    assert html.count("<td>complete</td>") == 5


def test_a_search_does_not_see_the_test_split(start: Start) -> None:
    context, hunt = start()
    for entry in hunt.snapshot.of_role("test"):
        context.store.write(entry.key, b"unreadable")
    first = search(context, hunt, "docs")
    digests = [context.catalog.load(hunt.trial(n), made_by="search").digest() for n in range(5)]
    for info in list(context.store.list("searches/")):
        context.store.delete(info.key)
    other = [{**row, "label": "c"} for row in rows(40, seed=9)]
    context, again = start(test=other, id="b" * 16)
    assert again.snapshot.digest() != hunt.snapshot.digest()
    assert again.id == hunt.id
    second = search(context, again, "docs")
    assert second.counts == first.counts
    assert [context.catalog.load(again.trial(n), made_by="search").digest() for n in range(5)] == digests


def test_other_train_rows_are_another_search(start: Start) -> None:
    _, hunt = start()
    _, other = start(train=rows(61), id="b" * 16)
    assert other.id != hunt.id


def test_a_trial_that_ended_is_not_run_again_and_more_trials_go_on(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, hunt = start(trials=3)
    for number in range(3):
        assert not trial(context, hunt, number, "docs").noop
    conclude(context, hunt)
    assert trial(context, hunt, 1, "docs").noop
    context, more = start(trials=4)
    assert more.id == hunt.id
    with pytest.raises(BadInput, match="not found yet"):
        more.training(context)
    before = record(context, hunt, 2)
    assert search(context, more, "docs").counts["trials"] == 4
    assert record(context, more, 2) == before
    import tasks.searching.trial as module

    def never(*given: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(module, "judged", never)
    assert search(context, more, "docs").noop


def test_a_trial_learns_from_the_rounds_before_its_own_whenever_it_runs(start: Start) -> None:
    context, hunt = start()
    with pytest.raises(BadInput, match=r"search --corpus docs --snapshot a+ --trial 0/5"):
        trial(context, hunt, 2, "docs")
    for number in (1, 0, 3, 2):
        trial(context, hunt, number, "docs")
    read = context.catalog.load(hunt.trial(3), made_by="search").inputs
    assert [each.name for each in read] == [hunt.trial(0), hunt.trial(1)]
    drawn = [record(context, hunt, number).params for number in range(4)]
    for info in list(context.store.list("searches/")):
        context.store.delete(info.key)
    search(context, hunt, "docs")
    assert [record(context, hunt, number).params for number in range(4)] == drawn


def test_a_trial_whose_parameters_cannot_be_is_a_failed_one(start: Start) -> None:
    context, hunt = start(parameters={"trees": {"low": 1, "high": 4}, "min_df": {"choices": [1, 1000]}}, trials=6)
    result = search(context, hunt, "docs")
    assert result.counts["failed"] > 0
    assert result.counts["complete"] > 0
    failed = next(r for n in range(6) if (r := record(context, hunt, n)).state == "failed")
    assert failed.params["min_df"] == 1000
    assert "min_df" in failed.message


def test_a_search_without_a_trial_that_ends_says_why(start: Start) -> None:
    context, hunt = start(parameters={"min_df": {"choices": [900, 1000]}}, trials=2)
    with pytest.raises(BadInput, match=r"none of the 2 trials .* the first that failed says: .*min_df"):
        search(context, hunt, "docs")


def test_a_trial_that_falls_behind_is_ended_after_a_shard(start: Start) -> None:
    pruner = {"by": "median", "startup": 1, "warmup": 0}
    parameters = {"trees": {"low": 3, "high": 40, "log": True}, "max_depth": {"choices": [1, 30]}}
    context, hunt = start(parameters=parameters, trials=8, parallel=1, pruner=pruner, shards=3, train=rows(90))
    result = search(context, hunt, "docs")
    assert result.counts["pruned"] > 0
    records = [record(context, hunt, number) for number in range(8)]
    cut = next(each for each in records if each.state == "pruned")
    whole = next(each for each in records if each.state == "complete")
    assert list(whole.seen) == [1, 2]
    assert list(cut.seen) in ([1], [1, 2])
    assert cut.value is None
    assert "falls behind" in cut.message


def test_a_damaged_train_split_stops_a_trial(start: Start) -> None:
    context, hunt = start()
    context.store.write(hunt.snapshot.of_role("train")[0].key, b"other")
    with pytest.raises(Corrupt):
        trial(context, hunt, 0, "docs")


def test_a_snapshot_is_settled_by_the_winners_run(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    context, hunt = start(trials=2)
    asked: list[str] = []
    monkeypatch.setattr("tasks.model_registry.settled", lambda catalog, corpus, run: asked.append(run))
    assert _settled(context, "a" * 16) is None
    assert asked == []
    search(context, hunt, "docs")
    _settled(context, "a" * 16)
    assert asked == [hunt.training(context).run]


def test_a_corpus_without_a_search_says_so(start: Start) -> None:
    context, hunt = start()
    with pytest.raises(BadInput, match="no section `search`"):
        Hunt.of(replace(context, corpus=hunt.corpus.model_copy(update={"search": None})).corpus, hunt.snapshot)


def test_what_a_machine_lacks_is_no_result_of_the_parameters(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    context, hunt = start()

    def lacks(*_: object, **__: object) -> dict[str, float]:
        raise Lacking("resources.gpus is 1, but this worker sees 0")

    monkeypatch.setattr("tasks.searching.trial.judged", lacks)
    with pytest.raises(Lacking):
        trial(context, hunt, 0, "docs.yaml")
    monkeypatch.setattr("tasks.searching.trial.judged", lambda *_, **__: {hunt.measure.name: float("nan")})
    trial(context, hunt, 0, "docs.yaml")
    failed = record(context, hunt, 0)
    assert (failed.state, failed.value) == ("failed", None)
    assert "nan under these parameters" in failed.message


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"parameters": {"trees": {"low": 0, "high": 9}}}, "search.parameters.trees: 0 is nothing that"),
        ({"parameters": {"tree": {"low": 1, "high": 9}}}, "search.parameters.tree: 1 is nothing .*did you mean trees"),
        ({"parameters": {"average": {"choices": [1, 2]}}}, "average: says how many tasks there are"),
        ({"parameters": {"trees": {"low": 1.0, "high": 9.0}}}, "search.parameters.trees: 3.9.* is nothing that"),
        ({"parameters": {"trees": {"low": 9, "high": 1}}}, "low 9 is not less than high 1"),
        ({"parameters": {"trees": {"low": 1}}}, "give low and high, or choices"),
        ({"parameters": {"trees": {"low": 1, "high": 2, "choices": [1, 2]}}}, "not both"),
        ({"parameters": {"trees": {"choices": [1]}}}, "expected two or more"),
        ({"parameters": {"trees": {"low": 1, "high": 9, "log": True, "step": 2}}}, "log: needs a low above 0"),
        ({"parameters": {"trees": {"low": 1, "high": 9, "step": 0.5}}}, "step 0.5: between whole numbers"),
        ({"parameters": {}}, "at least 1 item"),
        ({"metric": "rmse"}, "search.metric: tfidf_forest is measured by macro_f1, accuracy"),
    ],
)
def test_ranges_that_the_recipe_cannot_take_are_refused(
    make_corpus: Callable[..., Corpus], keys: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        make_corpus(search={**SEARCH, **keys})
