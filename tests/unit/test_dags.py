"""The DAGs of a corpus as Airflow reads them, without a scheduler."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction

from plugins.notify import WebhookNotifier
from plugins.retry import BackoffPolicy
from tasks.cli import COMMANDS
from tasks.crawl import ORIGINS
from tests.dag_files import CORPUS, FILES, INGEST, RETRAIN, corpora, dag_of, load, order, write

__all__ = ["corpora"]  # the fixture


def test_one_yaml_is_a_set_of_dags(corpora: Path) -> None:
    write(corpora, "docs")
    write(corpora, "news")
    kinds = ("ingest", "retrain", "predict", "rollback", "release")
    assert set(load(*FILES)) == {f"{kind}_{name}" for kind in kinds for name in ("docs", "news")} | {"restore_drill"}


@pytest.mark.parametrize(("file", "chain"), [("ingest", INGEST), ("retrain", RETRAIN)])
def test_the_graph_reads_like_the_chain(corpora: Path, file: str, chain: list[str]) -> None:
    dag = dag_of(corpora, file, f"{file}_docs")
    assert order(dag) == chain
    for before, after in itertools.pairwise(chain):
        assert after in dag.get_task(before).downstream_task_ids


def test_cleaning_is_mapped_over_the_shards_that_the_crawl_found(corpora: Path) -> None:
    dag = dag_of(corpora, "ingest", "ingest_docs")
    clean = dag.get_task("clean")
    assert isinstance(clean, MappedOperator)
    assert "crawl" in clean.upstream_task_ids


def test_on_spark_cleaning_and_counting_are_one_task_each(corpora: Path) -> None:
    write(corpora, "docs", engine="spark")
    dags = load("ingest", "retrain")
    for dag_id, task_id in (("ingest_docs", "clean"), ("retrain_docs", "prepare")):
        assert not isinstance(dags[dag_id].get_task(task_id), MappedOperator)
    assert isinstance(dags["retrain_docs"].get_task("train"), MappedOperator)
    assert order(dags["ingest_docs"]) == INGEST


@pytest.mark.parametrize("kind", ["images", "sequences"])
def test_rows_that_are_no_prose_are_not_counted(corpora: Path, kind: str) -> None:
    recipe = {"images": "image_vgg16", "sequences": "lstm_tagger"}[kind]
    dag = dag_of(corpora, "ingest", "ingest_docs", kind=kind, train={"recipe": recipe})
    assert order(dag) == [task for task in INGEST if task != "stats"]
    assert dag.get_task("dedup").downstream_task_ids == {"gate_clean"}


def test_every_task_has_what_a_bad_night_needs(corpora: Path) -> None:
    resources = {"retries": 5, "timeout": "30m", "pool": "heavy"}
    write(corpora, "docs", resources=resources, owner="ada", team="search", promote={"approval": True})
    for dag in load(*FILES).values():
        assert dag.doc_md, dag.dag_id
        assert dag.tags
        for task in dag.tasks:
            where = f"{dag.dag_id}.{task.task_id}"
            assert task.owner == "ada", where
            assert task.pool == "heavy", where
            assert task.doc_md, where
            if task.task_id == "approve":
                continue
            assert task.retries == 5, where
            assert task.execution_timeout == timedelta(minutes=30), where
            assert isinstance(task.retry_policy, BackoffPolicy), where


def test_every_step_is_a_command_that_there_is(corpora: Path) -> None:
    write(corpora, "docs")
    for dag in load(*FILES).values():
        for task in dag.tasks:
            values = task.partial_kwargs if isinstance(task, MappedOperator) else vars(task)
            if "step" in values:
                assert values["step"] in COMMANDS


def crawl_options(dag: DAG, run_type: str, **form: Any) -> tuple[str, str]:
    """``--origin`` of the crawl, and its flag, in a run of that kind whose trigger form was filled in so."""
    from airflow.utils.types import DagRunType
    from jinja2 import Environment, StrictUndefined

    crawl = dag.get_task("crawl")
    context = {"dag_run": SimpleNamespace(run_type=DagRunType(run_type)), "params": {**dag.params.dump(), **form}}
    templates = (crawl.options["origin"], crawl.flags[0])  # type: ignore[union-attr]
    environment = Environment(undefined=StrictUndefined)
    origin, flag = (environment.from_string(template).render(context) for template in templates)
    return origin, flag


@pytest.mark.parametrize(
    ("sources", "run_type", "expected"),
    [
        (("live", "history"), "backfill", "history"),
        (("live", "history"), "scheduled", "live"),
        (("history",), "scheduled", "history"),
        (("live", "history"), "manual", "auto"),
        (("live", "history"), "asset_materialization", "auto"),
    ],
)
def test_a_run_reads_the_source_that_its_kind_allows(
    corpora: Path, sources: tuple[str, ...], run_type: str, expected: str
) -> None:
    dag = dag_of(corpora, "ingest", "ingest_docs", source={name: CORPUS["source"][name] for name in sources})
    assert crawl_options(dag, run_type) == (expected, "")


def test_only_a_run_by_hand_heeds_the_trigger_form(corpora: Path) -> None:
    dag = dag_of(corpora, "ingest", "ingest_docs")
    form = {"origin": "history", "force": True}
    assert crawl_options(dag, "manual", **form) == ("history", "force")
    assert crawl_options(dag, "scheduled", **form) == ("live", "")
    assert crawl_options(dag, "backfill", origin="live", force=True) == ("history", "")


def test_the_trigger_form_of_an_ingest_offers_what_the_command_takes(corpora: Path) -> None:
    params = dag_of(corpora, "ingest", "ingest_docs").params
    assert params.validate() == {"origin": "auto", "force": False}
    assert params.get_param("origin").schema["enum"] == list(ORIGINS)
    for name, wrong in (("origin", "yesterday"), ("force", "perhaps")):
        with pytest.raises(ParamValidationError):
            params.get_param(name).resolve(wrong)


def test_a_corpus_without_history_forbids_backfills(corpora: Path) -> None:
    live_only = {"live": CORPUS["source"]["live"]}
    allowed = dag_of(corpora, "ingest", "ingest_docs", source=live_only).allowed_run_types
    assert allowed is not None
    assert "backfill" not in {kind.value for kind in allowed}
    assert dag_of(corpora, "ingest", "ingest_docs").allowed_run_types is None


@pytest.mark.parametrize(("file", "dag_id"), [("retrain", "retrain_docs"), ("upkeep", "restore_drill")])
def test_what_was_just_set_up_makes_up_for_nothing(corpora: Path, file: str, dag_id: str) -> None:
    dag = dag_of(corpora, file, dag_id, schedule={"retrain": "0 5 * * 1"})
    back = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    since = TimeRestriction(earliest=back.start_date, latest=None, catchup=back.catchup)
    first = back.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=since)
    assert first.run_after > datetime.now(UTC) - timedelta(minutes=15), "a run of last week, with nothing to work on"


def test_the_upload_publishes_what_the_retraining_waits_for(corpora: Path) -> None:
    write(corpora, "docs")
    dags = load("ingest", "retrain")
    (published,) = dags["ingest_docs"].get_task("upload").outlets
    assert published == dags["retrain_docs"].timetable.asset_condition


def test_people_are_told_what_they_asked_for(corpora: Path) -> None:
    hooks = [
        {"webhook": "http://a/1", "on": ["failure", "promotion"]},
        {"webhook": "http://b/2", "on": ["success"]},
    ]
    dag = dag_of(corpora, "retrain", "retrain_docs", notifications=hooks)

    def told(callbacks: Any) -> list[tuple[str, str]]:
        return [(n.webhook, n.event) for n in callbacks or [] if isinstance(n, WebhookNotifier)]

    assert told(dag.on_success_callback) == [("http://b/2", "success")]
    assert told(dag.get_task("train").on_failure_callback) == [("http://a/1", "failure")]
    assert told(dag.on_failure_callback) == told(load("upkeep")["restore_drill"].on_failure_callback)
    assert told(dag.on_failure_callback) == [("http://a/1", "failure")], "no task fails in a run that no pool can hold"
    assert told(dag.get_task("promote").on_success_callback) == [("http://a/1", "promotion")]
    assert told(dag.get_task("backup").on_success_callback) == []


def test_trigger_forms_have_types_and_say_what_they_want(corpora: Path) -> None:
    write(corpora, "docs")
    for dag_id, names in {
        "ingest_docs": {"origin", "force"},
        "predict_docs": {"partition"},
        "rollback_docs": {"to", "reason"},
        "release_docs": {"stage", "partition", "reason"},
    }.items():
        params = load("ingest", "predict", "upkeep")[dag_id].params
        assert set(params) == names
        for name in names:
            param = params.get_param(name)
            assert param.description
            assert "type" in param.schema


@pytest.mark.parametrize(("to", "flags"), [(None, [""]), (3, ["to=3"])])
def test_a_rollback_goes_to_the_version_of_the_form_or_to_the_one_before(
    corpora: Path, to: int | None, flags: list[str]
) -> None:
    dag = dag_of(corpora, "upkeep", "rollback_docs", notifications=[{"webhook": "http://a/1", "on": ["promotion"]}])
    task = dag.get_task("rollback")
    run = SimpleNamespace(triggering_user_name="ann")
    task.render_template_fields({"params": {"to": to, "reason": "why"}, "dag_run": run})
    assert list(task.flags) == flags  # type: ignore[union-attr]
    assert [outlet.name for outlet in task.outlets] == ["model_docs"]
    assert task.on_success_callback, "who asked to be told of a change of the champion is told"


def test_a_corpus_on_kubernetes_has_the_same_graph_of_pods(corpora: Path) -> None:
    pods = {"runtime": "kubernetes", "kubernetes": {"image": "example.org/pipeline:1"}}
    write(corpora, "docs")
    local = load("ingest", "retrain")
    write(corpora, "docs", **pods)
    for dag_id, dag in load("ingest", "retrain").items():
        assert order(dag) == order(local[dag_id])
        for task in dag.tasks:
            kind = task.operator_class if isinstance(task, MappedOperator) else type(task)
            assert ("KubernetesPodOperator" in [base.__name__ for base in kind.__mro__]) == (
                task.task_id != "wait_for_ingest"
            ), task.task_id
        assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids == dag.task_ids
