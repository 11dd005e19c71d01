"""Promotions at once on a real S3 server: one champion, one number each, no change unexplained."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.errors import BadInput, NightshiftError, StoreError
from tasks.model_registry import Registry, champion
from tasks.rollback import rollback
from tasks.step import Context
from tasks.store import Store, open_store
from tests.champions import LATER, Killed, Mortal, candidate, crowned, keyword_corpus, promoted

pytestmark = pytest.mark.integration


@pytest.fixture
def context(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], s3_store: Store) -> Context:
    return make_context(keyword_corpus(make_corpus), store=s3_store)


def test_a_key_is_created_by_one_of_many_at_once(s3_store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(10):
            key = f"race/{number}"
            won = list(pool.map(lambda name, key=key: s3_store.create(key, name), [b"%d" % i for i in range(8)]))
            assert won.count(True) == 1
            winner = b"%d" % won.index(True)
            assert s3_store.read(key) == winner
            assert s3_store.create(key, winner)  # whose answer was lost may ask again
            assert not s3_store.create(key, b"another")


def test_of_promotions_at_once_one_makes_the_champion(context: Context) -> None:
    trainings = [candidate(context, seed=seed) for seed in range(4)]
    start = threading.Barrier(len(trainings))

    def race(index: int) -> str | NightshiftError:
        start.wait(timeout=60)
        try:
            return promoted(context, trainings[index], by=f"racer {index}").message
        except (StoreError, BadInput) as error:
            return error

    with ThreadPoolExecutor(len(trainings)) as pool:
        outcomes = list(pool.map(race, range(len(trainings))))
    won = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, str)]
    assert len(won) == 1, outcomes
    registry = Registry(context.catalog, "docs")
    found = registry.champion()
    assert found is not None and found.run == trainings[won[0]].run
    (record,) = registry.audits()
    assert record.by == f"racer {won[0]}"
    numbers = [version.version for version in registry.versions()]
    assert numbers == list(range(1, len(numbers) + 1))
    # Whoever lost was compared with no champion, and says what to run before it may try again.
    with pytest.raises(BadInput, match="nightshift evaluate"):
        promoted(context, trainings[won[0] - 1])


def test_a_promotion_and_a_rollback_killed_on_s3_are_completed_by_their_retries(context: Context) -> None:
    crowned(context)
    training = candidate(context, seed=1)
    for last in (1, 2, 3):
        store = Mortal(context.store, last)
        with pytest.raises(Killed):
            promoted(replace(context, store=store, catalog=Catalog(store)), training)
        promoted(context, training)
        store = Mortal(context.store, 1)
        with pytest.raises(Killed):
            rollback(replace(context, store=store, catalog=Catalog(store)), to=1, reason="", by="me", at=LATER)
        assert rollback(context, to=1, reason="", by="me", at=LATER).counts == {"version": 1}
        now = champion(context.catalog, "docs")
        assert now is not None and now.version == 1
    assert [each.version for each in Registry(context.catalog, "docs").versions()] == [1, 2]


class Careless(BaseHTTPRequestHandler):
    """An S3 server of the old kind: it stores whatever comes, conditions or not."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self._answer()

    do_HEAD = do_GET = lambda self: self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def careless() -> Iterator[Store]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Careless) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }
        yield open_store("s3://bucket", environment)
        server.shutdown()
        thread.join()


def test_a_store_that_ignores_the_condition_is_found_out_before_two_promotions_meet(careless: Store) -> None:
    with pytest.raises(BadInput, match=r"ignores If-None-Match.*use a server with conditional writes"):
        careless.create("models/docs/registry/audit/000001.json", b"{}")
