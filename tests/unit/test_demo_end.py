"""What the main job comes to when both runs have ended: what it says, what it keeps, and its exit code."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from containers.embedded.demo import run_demo
from containers.embedded.rest import Rest
from containers.embedded.stack import Stack
from containers.embedded.summary import summarise
from tasks.backup import backup
from tasks.backups.vault import Vault
from tasks.config import Corpus
from tasks.step import Context
from tasks.store import open_store
from tests.champions import NOW, crowned, keyword_corpus

BEGUN, ENDED = "2026-11-20T03:00:00+00:00", "2026-11-20T03:00:10+00:00"


class Airflow(Rest):
    """Has run both DAGs well, by the time that it is asked."""

    def __init__(self) -> None:
        self.url = "http://127.0.0.1:8080"
        self._ingested = False

    def wait_for_dag(self, dag: str, deadline: float = 120.0) -> None: ...

    def unpause(self, dag: str) -> None: ...

    def trigger(self, dag: str, *, partition: str | None = None, conf: Any = None) -> str:
        self._ingested = True
        return "by hand"

    def runs(self, dag: str) -> list[dict[str, Any]]:
        return [{"dag_run_id": "by data"}] if dag == "retrain_docs" and self._ingested else []

    def run(self, dag: str, run: str) -> dict[str, Any]:
        return {"state": "success"}

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        names = ("crawl", "upload") if dag == "ingest_docs" else ("train",)
        ended = {"map_index": -1, "try_number": 1, "state": "success", "start_date": BEGUN, "end_date": ENDED}
        return [{"task_id": name, **ended} for name in names]

    def result(self, dag: str, run: str, task: str, index: int = -1) -> Any:
        return None


@pytest.fixture
def context(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]) -> Context:
    return make_context(keyword_corpus(make_corpus))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(open_store(f"file://{tmp_path}/backup", {}), "docs")


@pytest.fixture
def demo(
    tmp_path: Path, context: Context, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[int, str, Path]]:
    """The demo over the store of ``context``: its exit code, what it said, and where its summary is to be."""
    report = "reports/docs/r/report.html"
    context.store.write(report, b"<html>how good it is</html>")

    def with_report(*arguments: Any, **more: Any) -> dict[str, Any]:
        told = summarise(*arguments, **more)
        return told | {"report": [context.store.url_of(report)]} if told["champion"] else told

    monkeypatch.setattr("containers.embedded.demo.STORE", context.store.url)
    monkeypatch.setattr("containers.embedded.demo.BACKUP", vault.catalog.store.url)
    monkeypatch.setattr("containers.embedded.demo.summarise", with_report)
    # No data to be made here, and so no page to try the champion on.
    monkeypatch.setattr("containers.embedded.demo.make", lambda folder, corpus: None)
    stack = SimpleNamespace(
        rest=Airflow(),
        home=tmp_path / "stack",
        environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:8333"},
        require_all=lambda: None,
    )

    def run() -> tuple[int, str, Path]:
        said, out = io.StringIO(), tmp_path / "demo" / "summary.json"
        out.parent.mkdir()
        out.write_text("what an earlier demo came to")
        code = run_demo(cast(Stack, stack), "docs", out, Console(file=said, width=300), started=0.0)
        return code, said.getvalue(), out

    return run


def test_the_demo_ends_by_saying_where_everything_is_and_keeps_the_same_as_json(
    context: Context, vault: Vault, demo: Callable[[], tuple[int, str, Path]]
) -> None:
    crowned(context)
    backup(context, vault, at=NOW)
    code, said, out = demo()
    assert code == 0
    kept = json.loads(out.read_text())
    copy = out.with_name("report.html")
    assert copy.read_bytes() == b"<html>how good it is</html>"
    for where in (kept["report"][0], copy, kept["champion"]["model"], kept["backup"]["url"], kept["web_ui"]):
        assert str(where) in said
    assert "The summary as JSON: " in said.splitlines()[-1]
    assert said.splitlines()[-1].endswith(out.name)

    assert kept["web_ui"] == "http://127.0.0.1:8080"
    assert kept["champion"]["version"] == 1
    assert set(kept["champion"]["metrics"]) == {"validation", "test"}
    assert 0 <= kept["champion"]["metrics"]["validation"]["accuracy"] <= 1
    assert kept["backup"]["verified"] is True
    assert kept["gates"]["model"] == {"passed": True, "expectations": 3, "failed": 0, "skipped": 0}
    assert set(kept["documents"]) == {"in", "kept", "rejected", "unchanged"}
    assert kept["seconds"] > 0
    assert (kept["noop"], kept["tasks"]) == (False, {"run": 3, "noop": 0})
    assert set(kept["store"]) == {"store", "backup", "endpoint"}


def test_the_demo_fails_without_a_verified_backup_and_keeps_what_it_came_to(
    context: Context, demo: Callable[[], tuple[int, str, Path]]
) -> None:
    crowned(context)
    code, said, out = demo()
    assert (code, said.splitlines()[-1]) == (1, "The champion's backup is not verified.")
    assert json.loads(out.read_text())["backup"] == {"verified": False}


def test_the_demo_fails_without_a_champion(demo: Callable[[], tuple[int, str, Path]]) -> None:
    code, said, out = demo()
    assert (code, said.splitlines()[-1]) == (1, "No champion was promoted.")
    assert json.loads(out.read_text())["champion"] is None
