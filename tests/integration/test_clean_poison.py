"""One poison page costs that page: real child processes, real deaths."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
import structlog

from tasks.cleaning import child
from tasks.cleaning.crew import Crew
from tasks.cleaning.raw import Raw, batches, uid_of
from tasks.cleaning.refine import Refiner
from tasks.config.clean import Clean
from tasks.errors import NightshiftError

pytestmark = pytest.mark.integration

FAULTS = """
import ctypes, os, signal
import tasks.text.extract as extract

plain = extract.fast

def fast(html):
    if "SEGFAULT" in html:
        ctypes.string_at(0)
    if "HOG" in html:
        [bytearray(1 << 24) for _ in range(1000)]
    if "EXIT" in html:
        os._exit(9)
    if "WAIT" in html:
        signal.pause()
    if "PRINT" in html:
        os.write(1, b"noise on standard output")
    if "WEAR" in html:  # dies of what the pages before it did
        globals().setdefault("worn", []).append(html)
        if len(worn) > 3:
            os.abort()
    return plain(html)

extract.MODES["fast"] = fast
"""


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children that crash on command: faults that no harmless page can cause."""
    (tmp_path / "sitecustomize.py").write_text(FAULTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def page(text: str, number: int) -> Raw:
    url = f"http://host/{number}"
    return Raw(uid_of(url), url, datetime(2026, 11, 20, tzinfo=UTC), text.encode(), "text/html")


def pages(*texts: str, around: int = 30) -> Iterator[Raw]:
    """The texts, each between ``around`` harmless pages."""
    number = 0
    for text in texts:
        for body in (*["<p>A harmless page.</p>"] * around, text):
            yield page(body, number)
            number += 1
    yield page("<p>The last page.</p>", number)


def refined(raws: Iterator[Raw], workers: int = 1, **clean: Any) -> list[dict[str, Any]]:
    with Crew(Clean.model_validate(clean), workers=workers, log=structlog.get_logger()) as crew:
        return [row for outcomes in crew.refine(batches(raws)) for row in outcomes.to_pylist()]


def rejected(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(row["url"], row["reason"], row["value"]) for row in rows if row["reason"]]


@pytest.mark.usefixtures("faults")
@pytest.mark.parametrize("workers", [1, 3])
def test_crashes_cost_the_page_that_crashes_and_nothing_else(workers: int) -> None:
    raws = list(pages("SEGFAULT", "EXIT", "HOG", "SEGFAULT"))
    rows = refined(iter(raws), workers, document_memory="256MiB")
    assert [row["uid"] for row in rows] == [raw.uid for raw in raws]
    assert rejected(rows) == [
        ("http://host/30", "crash", "SIGSEGV"),
        ("http://host/61", "crash", "exit code 9"),
        ("http://host/92", "crash", "out of memory"),
        ("http://host/123", "crash", "SIGSEGV"),
    ]


def test_isolation_changes_nothing_about_good_pages() -> None:
    raws = list(pages("<title>t</title><p>One.", "<p>Zwei und drei.", around=70))
    clean = Clean.model_validate({"filters": ["length"]})
    alone = [row for batch in batches(raws) for row in Refiner(clean).batch(batch).to_pylist()]
    assert refined(iter(raws), workers=2, filters=["length"]) == alone


@pytest.mark.usefixtures("faults")
def test_a_page_is_not_blamed_for_what_pages_before_it_did() -> None:
    rows = refined(pages(*["WEAR"] * 8, around=1))
    assert rejected(rows) == []


@pytest.mark.usefixtures("faults")
def test_neighbours_that_crash_one_after_another_are_all_named() -> None:
    rows = refined(iter([page("SEGFAULT", 0), page("SEGFAULT", 1), page("fine", 2), page("EXIT", 3)]))
    assert [row["reason"] for row in rows] == ["crash", "crash", None, "crash"]


def test_deeply_nested_tags_and_wild_patterns_meet_the_deadline() -> None:
    started = time.monotonic()
    rows = refined(
        pages("<div>" * 100_000, "<p>" + "a" * 60 + "!"),
        document_timeout="1s",
        strip=[{"pattern": "(a+)+$"}],
    )
    assert rejected(rows) == [("http://host/30", "timeout", "1 s"), ("http://host/61", "timeout", "1 s")]
    assert time.monotonic() - started < 60


def test_a_page_that_parses_into_more_memory_than_allowed_is_rejected() -> None:
    rows = refined(pages("<b><i><p>" * 600_000), document_memory="64MiB", document_timeout="30s")
    ((url, reason, _),) = rejected(rows)
    assert (url, reason) == ("http://host/30", "crash")


@pytest.mark.usefixtures("faults")
def test_a_child_that_is_stuck_without_using_its_processor_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_STALL", 3.0)
    monkeypatch.setattr(child, "_STALL_TIMES", 1)
    assert rejected(refined(pages("WAIT"), document_timeout="1s")) == [("http://host/30", "timeout", "1 s")]


@pytest.mark.usefixtures("faults")
def test_what_a_library_prints_does_not_spoil_the_stream() -> None:
    assert rejected(refined(pages("PRINT"))) == []


def test_a_child_that_cannot_start_is_an_error_to_retry_not_a_reject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(NightshiftError, match="process that parses pages ended") as raised:
        refined(pages("x"))
    assert raised.value.exit_code == 1


def test_no_child_outlives_the_crew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with Crew(Clean(), workers=2, log=structlog.get_logger()) as crew:
        next(crew.refine(batches(pages(*["x"] * 20))))
        ours = [process for process in psutil.Process().children(recursive=True) if process.pid not in before]
        assert ours
    assert not any(process.is_running() for process in ours)


def test_a_crew_left_while_its_children_are_at_work_ends_quietly() -> None:
    for _ in range(20):  # each time the threads are somewhere else in their exchange
        with Crew(Clean(), workers=2, log=structlog.get_logger()) as crew:
            next(crew.refine(batches(pages(*["x"] * 20))))


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    parent = os.fork()
    if parent == 0:  # a process that starts a child, and is killed while the child is at work
        with Crew(Clean(), workers=1, log=structlog.get_logger()) as crew:
            rounds = (batch for _ in range(10**6) for batch in batches(pages("x")))
            for _ in crew.refine(rounds):
                (tmp_path / "pids").write_text(" ".join(str(p.pid) for p in psutil.Process().children(recursive=True)))
        os._exit(0)
    _until((tmp_path / "pids").exists)
    _until(lambda: (tmp_path / "pids").read_text() != "")
    children = [psutil.Process(int(pid)) for pid in (tmp_path / "pids").read_text().split()]
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert children
    _until(lambda: not any(child.is_running() for child in children))


def _until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_outcome_does_not_depend_on_how_many_work(tmp_path: Path) -> None:
    raws = list(pages("<p>one", "<p>two", "", around=100))
    one, four = (pa.Table.from_pylist(refined(iter(raws), workers)) for workers in (1, 4))
    assert one.equals(four)
