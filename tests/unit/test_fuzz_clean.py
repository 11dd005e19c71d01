"""A bounded share of `make fuzz`, and proof that it finds what it looks for."""

from __future__ import annotations

import faulthandler
import mmap
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tasks.cleaning.raw import Raw, uid_of
from tasks.kinds.base import kind_of
from tasks.text.extract import MODES
from tests.benchmarks.fuzzing import files, hunt, subject, workers
from tests.benchmarks.fuzzing.inputs import Input
from tests.benchmarks.fuzzing.shares import KINDS, SHARES, kinds_of


def test_a_few_hundred_poisoned_inputs_are_handled() -> None:
    assert [finding for number in range(250) for finding in subject.attempt(number)] == []


def test_an_input_is_the_same_every_time_and_on_the_way_through_bytes() -> None:
    inputs = [Input.numbered(number) for number in range(64)]
    assert inputs == [Input.numbered(number) for number in range(64)]
    assert len({each.data for each in inputs}) == 64
    assert {each.kind for each in inputs} == set(KINDS)
    assert {each.mode for each in inputs} == set(MODES)
    assert [Input.of(each.packed()) for each in inputs] == inputs


def test_kinds_come_by_in_their_shares_and_are_counted_by_them() -> None:
    assert kinds_of(range(32, 48)) == SHARES
    numbers = range(5, 90)
    assert kinds_of(numbers) == Counter(Input.numbered(number).kind for number in numbers)


@pytest.mark.parametrize(
    ("kind", "through"), [("image", "through_image"), ("archive", "through_archive"), ("rows", "through_rows")]
)
def test_images_archives_and_rows_are_tried_too(monkeypatch: pytest.MonkeyPatch, kind: str, through: str) -> None:
    monkeypatch.setattr(files, through, lambda *given: iter(["seen"]))
    numbers = [number for number in range(16) if Input.numbered(number).kind == kind]
    assert [finding for number in numbers for finding in subject.attempt(number)] == ["seen"] * SHARES[kind]  # type: ignore[index]


def test_a_row_that_its_kind_cannot_take_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    clean = files.of_rows(3)
    monkeypatch.setattr(type(kind_of(clean)), "row", lambda self, raw: 1 // 0)
    raw = Raw(uid_of("x"), "x", files.begin_of(files.DAY), b"{}")
    (finding,) = files.refined([raw], clean)
    assert "events: ZeroDivisionError" in finding


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda given: (_ for _ in ()).throw(ValueError("boom")), "ValueError: boom"),
        (lambda given: iter(["bad text"]), "bad text"),
    ],
)
def test_what_goes_wrong_is_a_finding(monkeypatch: pytest.MonkeyPatch, fault: object, said: str) -> None:
    monkeypatch.setattr(subject, "through_clean", fault)
    (finding,) = subject.attempt(1)
    assert said in finding


def test_a_slow_input_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "SLOW", 0.01)
    monkeypatch.setattr(subject, "through_clean", lambda given: spin(0.02))
    (finding,) = subject.attempt(1)
    assert "took" in finding


def spin(seconds: float) -> Iterator[str]:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return iter(())


def test_an_input_that_kills_its_process_is_named_and_the_others_go_on() -> None:
    def attempt(number: int) -> Iterator[str]:
        if number == 12:
            faulthandler.disable()  # what it would write of the end looks like a failure of the tests
            os.abort()
        return iter(["seen"] if number == 19 else [])

    told: list[list[range]] = []
    findings = workers.run(0, 20, 2, attempt, lambda done, found: told.append(done))
    assert sorted(findings) == ["input 12: the process ended with -6", "input 19: seen"]
    assert told[-1] == [range(10), range(10, 20)]


@pytest.mark.parametrize(
    ("poison", "limit", "said"),
    [
        (lambda: spin(60), ("HANG", 0.2), "input 3: more than 0.2 s of processor time"),
        (lambda: bytearray(1 << 33), ("MEMORY", 2 << 30), "input 3: MemoryError"),
    ],
    ids=["hang", "memory"],
)
def test_an_input_that_wants_all_time_or_memory_is_ended(
    monkeypatch: pytest.MonkeyPatch, poison: Callable[[], object], limit: tuple[str, float], said: str
) -> None:
    monkeypatch.setattr(workers, *limit)

    def attempt(number: int) -> Iterator[str]:
        try:
            if number == 3:
                poison()
        except MemoryError:
            yield "MemoryError"

    assert workers.run(0, 5, 1, attempt) == [said]


def test_a_process_that_grows_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "GROWTH", 20 << 20)
    kept: list[mmap.mmap] = []

    def attempt(number: int) -> Iterator[str]:
        # Not of the heap, in which the tests before left room.
        kept.append(mmap.mmap(-1, 1 << 20))
        kept[-1].write(bytes(1 << 20))
        return iter(())

    (finding,) = workers.run(0, 60, 1, attempt)
    assert "inputs 0 to 60: memory grew by" in finding


def test_every_filter_is_in_it_and_each_comes_first_once() -> None:
    names = subject.names()
    assert {"c4", "decontamination", "gopher_quality", "pii", "url_blocklist"} <= set(names)
    for turn, name in enumerate(names):
        filters = [each for each, _ in subject.refiner("fast", turn)._filters]
        assert filters[0] == name
        assert sorted(filters) == sorted(names)


def test_a_dictionary_says_pieces_in_ascii() -> None:
    assert hunt._escaped('<a href="é">') == r'"<a href=\x22\xc3\xa9\x22>"'
