"""Killed at any call and made again: the partition has the same bytes, whatever the moment."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.clean import clean_all
from tasks.config import Corpus
from tasks.dedup import dedup
from tasks.split import split
from tasks.step import Context
from tasks.store import Store, open_store
from tasks.upload import upload
from tests.integration.test_clean_steps import DAY, Warc, article, commit_raw

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]

SEED, KILLS = 20261120, int(os.environ.get("NIGHTSHIFT_KILLS", "3"))


@pytest.fixture
def raw(tmp_path: Path) -> list[Path]:
    files = []
    for part in range(2):
        warc = Warc(tmp_path / f"{part}.warc.gz")
        for number in range(12):
            warc.page(f"http://trains/{part}/{number % 9}", article(f"train {number % 7}"), number)
        files.append(
            warc.page(f"http://trains/{part}/short", "<p>too short").gone(f"http://trains/{part}/gone").close()
        )
    return files


def chain(context: Context) -> None:
    clean_all(context, DAY)
    dedup(context, DAY)
    split(context, DAY)
    upload(context, DAY)


def in_a_fork(work: Callable[[], Any]) -> int:
    """The exit status of a process that did it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return status


def counted(work: Callable[[], Any], at: int, told: Path) -> None:
    """Do it, and die at call number ``at`` of Python's or of C's, in whatever thread; tell how many there were."""
    calls = 0
    turn = threading.Lock()

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        with turn:
            calls += 1
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)
    sys.setprofile(count)
    work()
    sys.setprofile(None)
    told.write_text(str(calls))


def kept(store: Store) -> dict[str, str]:
    """What is on the store, but for what says how long it took."""
    keys = [info.key for info in store.list("")]
    return {key: store.sha256(key) for key in keys if "manifest" not in key}


def test_a_night_killed_at_any_call_and_made_again_has_the_same_bytes(
    make_context: Callable[..., Context], make_corpus: Callable[..., Corpus], raw: list[Path], tmp_path: Path
) -> None:
    corpus = make_corpus(clean={"filters": [{"length": {"min_words": 20}}], "shards": 2, "dedup": {"near": {}}})

    def fresh(name: str) -> Context:
        context = make_context(corpus, store=open_store(f"file://{tmp_path}/{name}", {}))
        commit_raw(context, *raw)
        return context

    undisturbed, told = fresh("undisturbed"), tmp_path / "calls"
    assert in_a_fork(lambda: counted(lambda: chain(undisturbed), 0, told)) == 0
    expected, calls = kept(undisturbed.store), int(told.read_text())
    folder = f"dataset/docs/{DAY}"
    published = undisturbed.catalog.current(folder)
    assert published
    assert calls > 10_000
    chance = random.Random(SEED)
    kills = 0
    for kill in range(KILLS):
        context = fresh(f"killed-{kill}")
        at = chance.randrange(1, calls)
        status = in_a_fork(lambda context=context, at=at: counted(lambda: chain(context), at, told))  # type: ignore[misc]
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        # The number of calls varies a little with what threads do: a kill near the very end may come too late.
        assert killed or (status == 0 and at > calls * 0.9), (kill, at, status)
        kills += killed
        assert in_a_fork(lambda context=context: chain(context)) == 0, (kill, at)  # type: ignore[misc]
        again = context.catalog.current(folder)
        assert again, (kill, at)
        assert again.digest() == published.digest(), (kill, at)
        assert kept(context.store) == expected, (kill, at)
    assert kills >= KILLS - 1
