"""The DAG files as Airflow reads them, without a scheduler."""

from __future__ import annotations

import itertools
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk import DAG
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from plugins.notify import WebhookNotifier
from plugins.retry import BackoffPolicy
from tasks.cli import COMMANDS
from tasks.crawl import ORIGINS
from tasks.errors import BadInput
from tasks.models._fit import FitParams
from tasks.models.base import RECIPES

DAGS = Path(__file__).parents[2] / "dags"
FILES = ("ingest", "retrain", "predict", "upkeep")
CORPUS: dict[str, Any] = {
    "source": {
        "live": {"files": {"path": "/nowhere/*.jsonl"}},
        "history": {"files": {"path": "/old/{partition}.jsonl"}},
    },
    "train": {"recipe": "tfidf_forest", "shards": 3},
    "schedule": {},
}
INGEST = ["crawl", "gate_raw", "clean", "dedup", "gate_clean", "split", "gate_splits", "upload"]
RETRAIN = [
    "wait_for_ingest", "snapshot", "prepare", "combine", "gate_features", "train", "evaluate_parts", "merge",
    "evaluate", "gate_model", "promote", "backup",
]  # fmt: skip

Load = Callable[..., dict[str, DAG]]


@pytest.fixture
def corpora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIGHTSHIFT_CORPORA", str(tmp_path))
    monkeypatch.syspath_prepend(str(DAGS))
    return tmp_path


def write(folder: Path, name: str, **sections: Any) -> None:
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"corpus": name, **CORPUS, **sections}))


def load(*files: str) -> dict[str, DAG]:
    made = [value for file in files for value in runpy.run_path(str(DAGS / f"{file}.py")).values()]
    return {dag.dag_id: dag for dag in made if isinstance(dag, DAG)}


def order(dag: DAG) -> list[str]:
    return [task.task_id for task in dag.topological_sort() if task.task_id in dag.task_ids]


def dag_of(folder: Path, file: str, dag_id: str, **sections: Any) -> DAG:
    write(folder, "docs", **sections)
    return load(file)[dag_id]


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


def test_pods_are_looked_after_wherever_some_corpus_has_them(corpora: Path, in_step: dict[str, Any]) -> None:
    for name, namespace in (("one", "team-a"), ("two", "team-a"), ("three", "team-b")):
        pods = {"namespace": namespace, "image": "nightshift:1"}
        write(corpora, name, train=in_step, runtime="kubernetes", kubernetes=pods)
    write(corpora, "forest", runtime="kubernetes", kubernetes={"namespace": "team-c", "image": "nightshift:1"})
    write(corpora, "here")
    reap = load("upkeep")["reap_pods"].get_task("reap")
    assert [place["namespace"] for place in reap.places] == ["team-a", "team-b", "team-c"]  # type: ignore[union-attr]
    assert reap.retries == 0


def test_folds_are_trained_beside_the_model_and_told_in_its_report(corpora: Path) -> None:
    dag = dag_of(corpora, "retrain", "retrain_docs", crossvalidate={"folds": 4})
    folds = dag.get_task("crossvalidate")
    assert isinstance(folds, MappedOperator)
    assert folds.expand_input.value == {"shard": ["0/4", "1/4", "2/4", "3/4"]}  # type: ignore[union-attr]
    assert folds.upstream_task_ids == {"gate_features"}
    assert folds.downstream_task_ids == {"evaluate"}


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
    from types import SimpleNamespace

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


def test_the_upload_publishes_what_the_retraining_waits_for(corpora: Path) -> None:
    write(corpora, "docs")
    dags = load("ingest", "retrain")
    (published,) = dags["ingest_docs"].get_task("upload").outlets
    assert published == dags["retrain_docs"].timetable.asset_condition


def test_a_person_is_asked_only_where_the_corpus_wants_it(corpora: Path) -> None:
    dag = dag_of(corpora, "retrain", "retrain_docs", promote={"approval": True})
    assert dag.get_task("approve").upstream_task_ids == {"gate_model"}
    assert dag.get_task("promote").upstream_task_ids == {"approve"}
    assert dag.get_task("approve").execution_timeout is None
    assert "responded_by_user" in dag.get_task("promote").options["by"]  # type: ignore[union-attr]


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


def test_a_broken_yaml_stops_no_other_corpus_and_is_named_with_its_key(corpora: Path) -> None:
    write(corpora, "good")
    write(corpora, "bad", clean={"shards": "many"})
    (corpora / "worse.yaml").write_text("corpus: [")
    write(corpora, "cloudy", runtime="kubernetes")
    assert {dag_id for dag_id in load(*FILES) if dag_id != "restore_drill"} == {
        f"{kind}_good" for kind in ("ingest", "retrain", "predict", "rollback", "release")
    }
    with pytest.raises(BadInput) as fault:
        load("faults")
    text = str(fault.value)
    assert "bad.yaml: clean.shards" in text
    assert "'many'" in text
    assert "worse.yaml" in text
    assert "cloudy.yaml: the file: runtime: kubernetes needs the section `kubernetes`" in text
    assert "good.yaml" not in text


def test_right_corpora_raise_no_import_error(corpora: Path) -> None:
    write(corpora, "good")
    assert load("faults") == {}


@pytest.mark.parametrize(
    "schedule", [{"cron": "0 25 * * *"}, {"cron": "daily"}, {"timezone": "Mars/Olympus"}, {"retrain": "sometimes"}]
)
def test_a_schedule_that_airflow_could_not_read_is_a_fault_of_its_file(corpora: Path, schedule: Any) -> None:
    write(corpora, "bad", schedule=schedule)
    assert "ingest_bad" not in load("ingest")
    with pytest.raises(BadInput, match=r"bad.yaml: schedule"):
        load("faults")


def test_running_one_task_reads_one_corpus(corpora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(corpora, "docs")
    write(corpora, "news")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "ingest_docs")
    assert set(load("ingest")) == {"ingest_docs"}


def test_the_scheduler_can_read_back_what_it_stores(corpora: Path) -> None:
    write(corpora, "docs", promote={"approval": True}, schedule={"timezone": "Europe/Berlin", "delay": "20m"})
    for dag in load(*FILES).values():
        back = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert back.task_ids == dag.task_ids
        assert type(back.timetable).__name__ == type(dag.timetable).__name__


def test_two_reads_of_the_same_files_store_the_same_dags(corpora: Path) -> None:
    write(corpora, "docs")
    first, second = ({k: DagSerialization.to_dict(d) for k, d in load(*FILES).items()} for _ in range(2))
    assert first == second, "a DAG that differs at each reading gets a new version every half minute"


def test_ten_corpora_are_read_in_a_moment(corpora: Path, record_property: Callable[[str, object], None]) -> None:
    for index in range(10):
        write(corpora, f"corpus_{index}")
    load(*FILES)  # imports, which Airflow's processes have done
    for file in (*FILES, "faults"):
        started = time.perf_counter()
        load(file)
        seconds = time.perf_counter() - started
        record_property(f"{file}_seconds", round(seconds, 3))
        assert seconds < 3, f"{file}: ten times what it took when this was written"


def test_dag_files_import_nothing_heavy(corpora: Path) -> None:
    write(corpora, "docs")
    heavy = ("pyarrow", "pandas", "sklearn", "mlflow", "great_expectations", "scrapy", "kubernetes", "numpy", "minio")
    code = (
        "import runpy, sys\n"
        "import airflow.sdk\n"
        f"sys.path.insert(0, {str(DAGS)!r})\n"
        f"before = set(sys.modules)\n"
        f"for name in {(*FILES, 'faults')!r}: runpy.run_path(f'{DAGS}/{{name}}.py')\n"
        f"print([n for n in {heavy!r} if n in set(sys.modules) - before])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


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


def test_a_corpus_of_local_processes_takes_no_kubernetes_with_it(corpora: Path) -> None:
    write(corpora, "docs", train={"recipe": "text_encoder"})
    script = "import runpy, sys; [runpy.run_path(f) for f in sys.argv[1:]]; sys.exit('kubernetes' in sys.modules)"
    files = [str(DAGS / f"{file}.py") for file in FILES]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(DAGS), str(DAGS.parent)])}
    subprocess.run([sys.executable, "-c", script, *files], env=environment, check=True)
