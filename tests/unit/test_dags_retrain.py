"""The DAG that retrains: what is mapped, what a gang takes, what comes first, and when it starts."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.serialization.serialized_objects import DagSerialization

from tasks.models._fit import FitParams
from tasks.models.base import RECIPES
from tests.dag_files import RETRAIN, corpora, dag_of, load, order, write

__all__ = ["corpora"]  # the fixture


@pytest.mark.parametrize("task_id", ["prepare", "train", "evaluate_parts"])
def test_training_is_mapped_over_its_shards(corpora: Path, task_id: str) -> None:
    task = dag_of(corpora, "retrain", "retrain_docs").get_task(task_id)
    assert isinstance(task, MappedOperator)
    assert task.expand_input.value == {"shard": ["0/3", "1/3", "2/3"]}  # type: ignore[union-attr]


@pytest.fixture
def in_step(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The ``train`` section of a recipe whose workers train in step."""
    recipe = type("InStep", (), {"Params": FitParams, "spread": "mirrored", "version": 1, "libraries": ()})
    monkeypatch.setitem(RECIPES._entries, "in_step", recipe)  # type: ignore[arg-type]
    return {"recipe": {"in_step": {"epochs": 3, "average": 2}}, "shards": 3}


def test_a_gang_is_one_task_that_takes_a_slot_for_each_worker(corpora: Path, in_step: dict[str, Any]) -> None:
    dag = dag_of(corpora, "retrain", "retrain_docs", train=in_step, resources={"workers": 4})
    at = RETRAIN.index("train")
    chain = [*RETRAIN[:at], "encode", *RETRAIN[at:]]
    assert order(dag) == chain
    for before, after in itertools.pairwise(chain):
        assert after in dag.get_task(before).downstream_task_ids
    train = dag.get_task("train")
    assert not isinstance(train, MappedOperator)
    assert (train.pool, train.pool_slots) == ("training", 4)
    assert dag.get_task("encode").pool == "default_pool"


@pytest.mark.parametrize(("task_id", "shares"), [("encode", ["0/3", "1/3", "2/3"]), ("evaluate_parts", ["0/2", "1/2"])])
def test_what_a_gang_reads_and_keeps_is_mapped(
    corpora: Path, in_step: dict[str, Any], task_id: str, shares: list[str]
) -> None:
    task = dag_of(corpora, "retrain", "retrain_docs", train=in_step).get_task(task_id)
    assert isinstance(task, MappedOperator)
    assert task.expand_input.value == {"shard": shares}  # type: ignore[union-attr]


def test_folds_are_trained_beside_the_model_and_told_in_its_report(corpora: Path) -> None:
    dag = dag_of(corpora, "retrain", "retrain_docs", crossvalidate={"folds": 4})
    folds = dag.get_task("crossvalidate")
    assert isinstance(folds, MappedOperator)
    assert folds.expand_input.value == {"shard": ["0/4", "1/4", "2/4", "3/4"]}  # type: ignore[union-attr]
    assert folds.upstream_task_ids == {"gate_features"}
    assert folds.downstream_task_ids == {"evaluate"}


def test_a_gang_with_servers_takes_a_slot_for_every_member(corpora: Path, in_step: dict[str, Any]) -> None:
    train = {**in_step, "strategy": "parameter_server"}
    resources = {"workers": 3, "parameter_servers": 2}
    gang = dag_of(corpora, "retrain", "retrain_docs", train=train, resources=resources).get_task("train")
    assert gang.pool_slots == 6


def test_sites_train_in_rounds_and_no_other_task_knows_their_variables(corpora: Path, in_step: dict[str, Any]) -> None:
    sites = [{"name": s, "store": f"s3://{s}-data", "credentials": s.upper()} for s in ("berlin", "paris")]
    recipe = {"in_step": {"epochs": 3}}
    dag = dag_of(
        corpora, "retrain", "retrain_docs", train={"recipe": recipe, "federated": {"rounds": 2, "sites": sites}}
    )
    assert dag.get_task("sites_0").expand_input.value == {"shard": ["0/2", "1/2"]}  # type: ignore[union-attr]
    assert dag.get_task("sites_0").upstream_task_ids == {"gate_features"}
    assert dag.get_task("sites_1").upstream_task_ids == {"average_0"}
    assert dag.get_task("average_1").downstream_task_ids == {"evaluate_parts"}
    assert "train" not in dag.task_ids
    merge = dag.get_task("merge")
    assert [site.credentials for site in merge.sites] == ["BERLIN", "PARIS"]  # type: ignore[union-attr]
    assert [site.credentials for site in dag.get_task("gate_model").sites] == ["BERLIN", "PARIS"]  # type: ignore[union-attr]


@pytest.mark.parametrize("shards", [1, 3])
def test_shards_are_fitted_in_rounds_one_after_the_other(corpora: Path, shards: int) -> None:
    train = {"recipe": {"gaussian_mixture": {"rounds": 3}}, "shards": shards}
    dag = dag_of(corpora, "retrain", "retrain_docs", train=train)
    train_task = dag.get_task("train")
    if shards == 1:
        assert "round_0" not in dag.task_ids
        assert train_task.upstream_task_ids == {"gate_features"}
        return
    first, second = dag.get_task("round_0"), dag.get_task("round_1")
    assert [task.expand_input.value for task in (first, second, train_task)] == [{"shard": ["0/3", "1/3", "2/3"]}] * 3  # type: ignore[union-attr]
    assert [task.partial_kwargs["options"].get("round") for task in (first, second, train_task)] == ["0", "1", None]  # type: ignore[union-attr]
    assert first.upstream_task_ids == {"gate_features"}
    assert second.upstream_task_ids == {"round_0"}
    assert train_task.upstream_task_ids == {"round_1"}
    assert train_task.downstream_task_ids == {"evaluate_parts"}


def test_a_search_comes_first_round_by_round(corpora: Path) -> None:
    search = {"parameters": {"trees": {"low": 1, "high": 9}}, "trials": 5, "parallel": 2}
    dag = dag_of(corpora, "retrain", "retrain_docs", search=search)
    rounds = [dag.get_task(f"trials_{number}") for number in range(3)]
    assert [r.expand_input.value["shard"] for r in rounds] == [["0/5", "1/5"], ["2/5", "3/5"], ["4/5"]]  # type: ignore[union-attr]
    assert rounds[0].upstream_task_ids == {"snapshot"}
    assert rounds[1].upstream_task_ids == {"trials_0"}
    assert dag.get_task("search").upstream_task_ids == {"trials_2"}
    assert dag.get_task("prepare").upstream_task_ids == {"search"}
    assert dag.get_task("snapshot").downstream_task_ids == {"trials_0"}


@pytest.mark.parametrize(
    ("schedule", "timetable"),
    [
        ({}, "PartitionedAssetTimetable"),
        ({"retrain": "manual"}, "NullTimetable"),
        ({"retrain": "0 4 * * mon"}, "CronTriggerTimetable"),
        (None, "PartitionedAssetTimetable"),
    ],
)
def test_retraining_starts_as_the_corpus_says(corpora: Path, schedule: Any, timetable: str) -> None:
    dag = dag_of(corpora, "retrain", "retrain_docs", schedule=schedule)
    assert type(dag.timetable).__name__ == timetable


def test_a_person_is_asked_only_where_the_corpus_wants_it(corpora: Path) -> None:
    dag = dag_of(corpora, "retrain", "retrain_docs", promote={"approval": True})
    assert dag.get_task("approve").upstream_task_ids == {"gate_model"}
    assert dag.get_task("promote").upstream_task_ids == {"approve"}
    assert dag.get_task("approve").execution_timeout is None
    assert "responded_by_user" in dag.get_task("promote").options["by"]  # type: ignore[union-attr]


def test_pods_are_looked_after_wherever_some_corpus_has_them(corpora: Path, in_step: dict[str, Any]) -> None:
    for name, namespace in (("one", "team-a"), ("two", "team-a"), ("three", "team-b")):
        pods = {"namespace": namespace, "image": "nightshift:1"}
        write(corpora, name, train=in_step, runtime="kubernetes", kubernetes=pods)
    elsewhere = {"namespace": "team-a", "image": "nightshift:1", "context": "other"}
    write(corpora, "forest", runtime="kubernetes", kubernetes=elsewhere)
    write(corpora, "here")
    dag = load("upkeep")["reap_pods"]
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids == ["reap"]
    reap = dag.get_task("reap")
    clusters = reap.expand_input.value["places"]  # type: ignore[union-attr]
    named = [[(place["cluster_context"], place["namespace"]) for place in cluster] for cluster in clusters]
    assert sorted(named, key=repr) == [[("other", "team-a")], [(None, "team-a"), (None, "team-b")]]
    assert reap.retries == 0
