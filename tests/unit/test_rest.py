"""The client of Airflow's REST API, against a server that is busy now and then."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from containers.embedded.rest import Busy, Rest


class Airflow(HTTPServer):
    """Answers with the codes given, in turn, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []
        self.body: object = {}
        self.asked: list[tuple[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.endswith("/auth/token"):
            self._answer(200, {"access_token": "t"})
        else:
            self._turn()

    def do_POST(self) -> None:
        self._turn()

    do_PATCH = do_POST

    def _turn(self) -> None:
        assert isinstance(self.server, Airflow)
        length = int(self.headers.get("Content-Length") or 0)
        self.server.asked.append((self.command, json.loads(self.rfile.read(length) or b"null")))
        self._answer(self.server.answers.pop(0), self.server.body)

    def _answer(self, code: int, body: object) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    with Airflow() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def rest(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> Rest:
    monkeypatch.setattr("containers.embedded.rest.PAUSE", 0.01)
    return Rest(f"http://127.0.0.1:{airflow.server_port}")


def test_a_change_that_the_server_was_too_busy_for_is_sent_again(airflow: Airflow, rest: Rest) -> None:
    airflow.answers = [500, 503, 200]
    rest.unpause("ingest_docs")
    assert airflow.asked == [("PATCH", {"is_paused": False})] * 3


def test_a_run_that_a_lost_answer_left_behind_is_not_started_twice(airflow: Airflow, rest: Rest) -> None:
    airflow.answers = [500, 409]
    name = rest.trigger("ingest_docs", partition="2026-11-20")
    assert [body["dag_run_id"] for _, body in airflow.asked] == [name, name]
    assert airflow.asked[0][1]["partition_key"] == "2026-11-20"


def test_what_has_no_name_of_its_own_is_sent_once(airflow: Airflow, rest: Rest) -> None:
    airflow.answers = [500]
    with pytest.raises(Busy, match="POST pools: 500"):
        rest.call("POST", "pools", {"name": "training"})
    assert len(airflow.asked) == 1


def test_the_exception_that_a_task_ended_with_is_in_its_log(airflow: Airflow, rest: Rest) -> None:
    raised = [{"exc_type": "PeerLost", "exc_value": "worker 1 is lost"}, {"exc_type": "OSError", "exc_value": "reset"}]
    entries = [{"event": "started"}, {"event": "Task failed", "error_detail": raised}, "a line of its own"]
    airflow.answers, airflow.body = [200], {"content": entries}
    assert rest.log("retrain_docs", "run", "train", 1).splitlines() == [
        "started",
        "Task failed",
        "OSError: reset",
        "PeerLost: worker 1 is lost",
        "a line of its own",
    ]
