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
    """Answers with the codes given, in turn, and keeps what it was asked; ``bodies`` come before ``body``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[int] = []
        self.body: object = {}
        self.bodies: list[object] = []
        self.paths: list[str] = []
        self.asked: list[tuple[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.endswith("/auth/token"):
            self._answer(200, {"access_token": "t"})
        else:
            self._turn()

    def do_POST(self) -> None:
        self._turn()

    do_PATCH = do_PUT = do_POST

    def _turn(self) -> None:
        assert isinstance(self.server, Airflow)
        length = int(self.headers.get("Content-Length") or 0)
        self.server.asked.append((self.command, json.loads(self.rfile.read(length) or b"null")))
        self.server.paths.append(self.path.removeprefix("/api/v2/"))
        body = self.server.bodies.pop(0) if self.server.bodies else self.server.body
        self._answer(self.server.answers.pop(0), body)

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


def test_a_pool_is_made_though_the_server_is_busy_as_it_starts(airflow: Airflow, rest: Rest) -> None:
    airflow.answers = [404, 500, 409]
    rest.ensure_pool("training", 2, "slots of trainings")
    assert [command for command, _ in airflow.asked] == ["GET", "POST", "POST"]
    assert airflow.asked[1][1]["include_deferred"] is True


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


def test_a_dag_that_is_new_in_a_known_file_is_read_out_of_turn_and_asked_for_once(airflow: Airflow, rest: Rest) -> None:
    known = [{"dag_id": "ingest_docs", "file_token": "of-ingest"}]
    new = [{"dag_id": "ingest_news", "file_token": "of-ingest"}]
    airflow.answers = [200, 200, 409, 200, 200]
    airflow.bodies = [{"dags": dags} for dags in ([], known)] + [{}] + [{"dags": dags} for dags in ([], new)]
    rest.wait_for_dag("ingest_news")
    assert airflow.paths == [
        "dags?dag_id_pattern=ingest_news&limit=100",
        "dags?dag_id_pattern=ingest_%25&limit=100",
        "parseDagFile/of-ingest",
        "dags?dag_id_pattern=ingest_news&limit=100",
        "dags?dag_id_pattern=ingest_news&limit=100",
    ]


def test_a_dag_of_a_file_that_airflow_has_not_read_is_waited_for(airflow: Airflow, rest: Rest) -> None:
    airflow.answers = [200] * 3
    airflow.bodies = [{"dags": []}, {"dags": []}, {"dags": [{"dag_id": "ingest_news"}]}]
    rest.wait_for_dag("ingest_news")
    assert [command for command, _ in airflow.asked] == ["GET"] * 3
