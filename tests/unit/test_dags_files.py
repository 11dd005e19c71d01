"""How the DAG files are read: faults of one corpus, what is stored, what is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from tasks.errors import BadInput
from tests.dag_files import DAGS, FILES, corpora, load, write

__all__ = ["corpora"]  # the fixture


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


@pytest.mark.slow
def test_a_corpus_of_local_processes_takes_no_kubernetes_with_it(corpora: Path) -> None:
    write(corpora, "docs", train={"recipe": "text_encoder"})
    script = "import runpy, sys; [runpy.run_path(f) for f in sys.argv[1:]]; sys.exit('kubernetes' in sys.modules)"
    files = [str(DAGS / f"{file}.py") for file in FILES]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(DAGS), str(DAGS.parent)])}
    subprocess.run([sys.executable, "-c", script, *files], env=environment, check=True)
