"""Webhooks, over a real HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from plugins import notify
from plugins.notify import RunNotifier, WebhookNotifier
from tasks.errors import StoreError


class Hook:
    """A webhook that keeps what it gets and answers ``status``, or hangs when ``status`` is None."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status: int | None = 200
        self.done = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                if hook.status is None:
                    hook.done.wait(30)
                    return
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/s3cr3t-token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.done.set()
    made.server.shutdown()
    made.server.server_close()


def context(**more: Any) -> Any:
    return {
        "dag_run": SimpleNamespace(dag_id="ingest_docs", run_id="manual__1", partition_key="2026-11-20"),
        "ti": SimpleNamespace(task_id="clean", map_index=2, log_url="http://airflow/log"),
        "exception": StoreError("no answer from s3://bucket"),
        **more,
    }


def notifier(hook: Hook, event: str = "failure") -> WebhookNotifier:
    return WebhookNotifier(webhook=hook.url, event=event, corpus="docs")


def test_a_failure_says_where_and_why(hook: Hook) -> None:
    notifier(hook)(context())
    (got,) = hook.got
    assert got.pop("text") == "Nightshift failure: ingest_docs clean 2026-11-20: StoreError: no answer from s3://bucket"
    assert got == {
        "event": "failure",
        "corpus": "docs",
        "dag": "ingest_docs",
        "task": "clean",
        "map_index": 2,
        "run": "manual__1",
        "partition": "2026-11-20",
        "error": "StoreError: no answer from s3://bucket",
        "log": "http://airflow/log",
    }


def test_a_run_that_failed_without_a_failed_task_says_why(hook: Hook) -> None:
    told = RunNotifier(webhook=hook.url, event="failure", corpus="docs")
    told(context(exception=None, reason="clean: there is no pool 'heavy'"))
    told({"dag": DAG("retrain_docs", schedule=None), "run_id": "manual__2", "reason": "timed_out"})
    assert [got["text"] for got in hook.got] == [
        "Nightshift failure: ingest_docs clean 2026-11-20: clean: there is no pool 'heavy'",
        "Nightshift failure: retrain_docs manual__2: timed_out",
    ]


def test_a_failed_task_is_told_of_once(hook: Hook) -> None:
    RunNotifier(webhook=hook.url, event="failure", corpus="docs")(context(reason="task_failure"))
    assert hook.got == []


def test_a_success_has_no_error(hook: Hook) -> None:
    notifier(hook, "success")({"dag_run": context()["dag_run"], "reason": "success"})
    assert hook.got[0]["error"] is None
    assert hook.got[0]["dag"] == "ingest_docs"


def test_secrets_of_the_deployment_are_masked(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    masker = _secrets_masker()
    monkeypatch.setattr(masker, "replacer", None)
    monkeypatch.setattr(masker, "patterns", set())
    masker.add_mask("tr0ub4dor&3")
    notifier(hook)(context(exception=StoreError("403 for key tr0ub4dor&3")))
    assert "tr0ub4dor" not in json.dumps(hook.got[0])


@pytest.mark.parametrize("status", [500, 404])
def test_a_webhook_that_refuses_is_logged_and_nothing_else(
    hook: Hook, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    hook.status = status
    notifier(hook)(context())
    log = capsys.readouterr().out
    assert str(status) in log
    assert "s3cr3t" not in log


def test_a_webhook_that_hangs_holds_the_task_for_a_bounded_time(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notify, "TIMEOUT", 0.3)
    hook.status = None
    notifier(hook)(context())
    assert "could not tell 127.0.0.1" in capsys.readouterr().out


def test_a_webhook_that_is_not_there_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    WebhookNotifier(webhook="http://127.0.0.1:9/s3cr3t", event="failure", corpus="docs")(context())
    log = capsys.readouterr().out
    assert "could not tell" in log
    assert "s3cr3t" not in log


def test_a_webhook_that_is_no_url_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    WebhookNotifier(webhook="s3cr3t", event="failure", corpus="docs")(context())
    log = capsys.readouterr().out
    assert "could not tell" in log
    assert "s3cr3t" not in log
