"""The operators, each running a real program in place of ``nightshift``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import DownstreamTasksSkipped

from plugins.errors import StepKilled
from plugins.operators.gate import GateOperator
from plugins.operators.snapshot import SnapshotOperator
from plugins.operators.step import StepOperator
from tasks.errors import BadInput, GateFailed, NightshiftError, Quarantined, StoreError

PROGRAM = """
import json, os, signal, sys
told = json.load(open(os.environ["TOLD"]))
json.dump({"argv": sys.argv[1:], "environment": dict(os.environ)}, open(os.environ["SEEN"], "w"))
print(*told["log"], sep="\\n", file=sys.stderr)
if told["signal"]:
    os.kill(os.getpid(), told["signal"])
print(told["last"])
sys.exit(told["exit"])
"""
MANIFEST = "s3://bucket/clean/docs/2026-11-20/_manifest.json"


class Program:
    """Stands in for ``nightshift``: ends as told, and keeps what it was called with."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._told, self._seen = folder / "told.json", folder / "seen.json"
        (folder / "program.py").write_text(PROGRAM)
        monkeypatch.setenv("NIGHTSHIFT_PROGRAM", f"{sys.executable} -S {folder / 'program.py'}")
        monkeypatch.setenv("TOLD", str(self._told))
        monkeypatch.setenv("SEEN", str(self._seen))
        self.ends()

    def ends(self, code: int = 0, last: Any = None, log: tuple[str, ...] = (), signal: int = 0) -> None:
        result = {"step": "clean", "manifest": MANIFEST, "counts": {}} if last is None else last
        line = result if isinstance(result, str) else json.dumps(result)
        self._told.write_text(json.dumps({"exit": code, "last": line, "log": log, "signal": signal}))

    def fails(self, code: int, name: str, message: str = "what went wrong") -> None:
        self.ends(code, {"step": "clean", "error": {"type": name, "message": message}})

    @property
    def seen(self) -> dict[str, Any]:
        seen: dict[str, Any] = json.loads(self._seen.read_text())
        return seen

    @property
    def ran(self) -> bool:
        return self._seen.exists()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(tmp_path, monkeypatch)


def step(**arguments: Any) -> StepOperator:
    given: dict[str, Any] = {
        "task_id": "clean",
        "step": "clean",
        "corpus": "docs",
        "options": {"partition": "2026-11-20"},
    }
    return StepOperator(**{**given, **arguments})


def execute(operator: StepOperator, **context: Any) -> Any:
    return operator.execute(context)  # type: ignore[arg-type]


def test_the_manifest_url_is_all_that_travels_on(program: Program) -> None:
    assert execute(step()) == MANIFEST


def test_the_command_is_what_a_person_would_type(program: Program) -> None:
    execute(step(shard="0/4"))
    assert program.seen["argv"] == ["clean", "--corpus=docs", "--partition=2026-11-20", "--shard=0/4", "--json"]


def test_a_mapped_task_takes_its_share_of_a_manifest(program: Program) -> None:
    execute(step(shard=f"{MANIFEST}#3/4", shard_option="part"))
    assert "--part=3/4" in program.seen["argv"]


def test_a_value_that_looks_like_an_option_stays_a_value(program: Program) -> None:
    execute(step(options={"reason": "--force"}))
    assert "--reason=--force" in program.seen["argv"]


def test_a_flag_is_an_option_without_a_value(program: Program) -> None:
    execute(step(flags=["drill"]))
    assert program.seen["argv"][-2:] == ["--drill", "--json"]


def test_a_flag_that_renders_to_nothing_is_left_out(program: Program) -> None:
    execute(step(flags=["", "drill"]))
    assert program.seen["argv"][-3:] == ["--partition=2026-11-20", "--drill", "--json"]


def test_fanning_out_gives_one_entry_for_each_shard(program: Program) -> None:
    program.ends(last={"step": "crawl", "manifest": MANIFEST, "counts": {"shards": 3}})
    assert execute(step(fan_out=True)) == [f"{MANIFEST}#{i}/3" for i in range(3)]


@pytest.mark.parametrize("value", ["", "None"])
def test_a_run_without_a_partition_fails_before_anything_runs(program: Program, value: str) -> None:
    with pytest.raises(BadInput, match=r"no partition.*partition key"):
        execute(step(options={"partition": value}))
    assert not program.ran


@pytest.mark.parametrize(
    ("code", "name", "expected"),
    [(2, "BadInput", BadInput), (3, "Quarantined", Quarantined), (1, "StoreError", StoreError)],
)
def test_the_exit_code_becomes_the_exception(program: Program, code: int, name: str, expected: type[Exception]) -> None:
    program.fails(code, name, "bucket is gone")
    with pytest.raises(expected, match="bucket is gone"):
        execute(step())


def test_a_killed_step_is_worth_a_retry(program: Program) -> None:
    program.ends(signal=9)
    with pytest.raises(StepKilled, match="signal 9"):
        execute(step())


def test_success_without_a_result_is_no_success(program: Program) -> None:
    program.ends(last="all done")
    with pytest.raises(NightshiftError, match="no result"):
        execute(step())


def test_log_lines_keep_their_level(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    program.ends(log=("level=info event=started", "level=warning event=slow", "level=error event=lost"))
    execute(step())
    lines = capsys.readouterr().out.splitlines()
    assert any("[warning" in line and "event=slow" in line for line in lines)
    assert any("[error" in line and "event=lost" in line for line in lines)
    assert any("[info" in line and "event=started" in line for line in lines)


def test_secrets_reach_the_step_by_its_environment_alone(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tr0ub4dor&3")
    execute(step())
    assert program.seen["environment"]["AWS_SECRET_ACCESS_KEY"] == "tr0ub4dor&3"
    assert not any("tr0ub4dor" in argument for argument in program.seen["argv"])
    assert "tr0ub4dor" not in capsys.readouterr().out


def test_a_step_knows_nothing_of_airflows_database(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://airflow:pw@db/airflow")
    monkeypatch.setenv("AIRFLOW_CONN_SMTP", "smtp://u:pw@mail")
    execute(step())
    assert not [n for n in program.seen["environment"] if n.startswith(("AIRFLOW__", "AIRFLOW_CONN"))]


def test_a_gate_names_its_stage_and_each_failed_expectation(
    program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    program.fails(3, "GateFailed", "two of nine failed\nrows: expected at least 10, saw 3\nlabels: unexpected 'x'")
    gate = GateOperator(
        task_id="gate_clean", expectation_suite_name="clean", corpus="docs", options={"partition": "2026-11-20"}
    )
    with pytest.raises(GateFailed):
        execute(gate)
    assert program.seen["argv"][:2] == ["gate", "clean"]
    errors = [line for line in capsys.readouterr().out.splitlines() if "[error" in line]
    assert any("rows: expected at least 10, saw 3" in line for line in errors)
    assert any("labels: unexpected 'x'" in line for line in errors)


class Run:
    """What ``SnapshotOperator`` uses of a task instance."""

    map_index = -1

    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


@pytest.fixture
def snapshot_task(program: Program) -> Callable[[], SnapshotOperator]:
    def build() -> SnapshotOperator:
        from airflow.sdk import DAG

        with DAG("retrain_docs", schedule=None):
            snapshot = SnapshotOperator(task_id="snapshot", step="snapshot", corpus="docs")
            prepare, train = step(task_id="prepare"), step(task_id="train")
            snapshot >> prepare >> train
        return snapshot

    return build


def test_a_snapshot_that_was_trained_on_skips_everything_after_it(
    program: Program, snapshot_task: Callable[[], SnapshotOperator]
) -> None:
    program.ends(last={"step": "snapshot", "manifest": MANIFEST, "counts": {"settled": "version 3 is champion"}})
    task, ti = snapshot_task(), Run()
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        execute(task, ti=ti, task=task)
    assert set(skipped.value.tasks) == {"prepare", "train"}
    assert ti.pushed["return_value"] == MANIFEST


@pytest.mark.parametrize("counts", [{}, {"settled": None}, {"settled": ""}])
def test_a_new_snapshot_goes_on(
    program: Program, snapshot_task: Callable[[], SnapshotOperator], counts: dict[str, Any]
) -> None:
    program.ends(last={"step": "snapshot", "manifest": MANIFEST, "counts": counts})
    task = snapshot_task()
    assert execute(task, ti=Run(), task=task) == MANIFEST


def test_the_nightshift_of_this_environment_is_run_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTSHIFT_PROGRAM", raising=False)
    with pytest.raises(BadInput, match=r"cannot be read"):
        execute(step(corpus=os.devnull + ".yaml"))
