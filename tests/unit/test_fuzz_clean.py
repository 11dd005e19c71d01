"""A bounded share of `make fuzz`, and proof that it finds what it looks for."""

from __future__ import annotations

import os
import time

import pytest

from tests.benchmarks import fuzz_clean


def test_a_few_hundred_poisoned_inputs_are_handled() -> None:
    assert [finding for number in range(250) for finding in fuzz_clean.attempt(number)] == []


def test_an_input_is_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(fuzz_clean, "through_clean", lambda data: seen.append(data) or iter(()))
    for _ in range(2):
        list(fuzz_clean.attempt(3))
    assert seen[0] == seen[1] != b""


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda data: (_ for _ in ()).throw(ValueError("boom")), "ValueError: boom"),
        (lambda data: iter(["bad text"]), "bad text"),
    ],
)
def test_what_goes_wrong_is_a_finding(monkeypatch: pytest.MonkeyPatch, fault: object, said: str) -> None:
    monkeypatch.setattr(fuzz_clean, "through_clean", fault)
    (finding,) = fuzz_clean.attempt(1)
    assert said in finding


def test_a_slow_input_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_clean, "SLOW", 0.01)

    def spin(data: bytes) -> list[str]:
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass
        return []

    monkeypatch.setattr(fuzz_clean, "through_clean", spin)
    (finding,) = fuzz_clean.attempt(1)
    assert "took" in finding


def test_an_input_that_kills_its_process_is_named_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt(number: int) -> list[str]:
        if number == 12:
            os.abort()
        return ["seen"] if number == 19 else []

    monkeypatch.setattr(fuzz_clean, "attempt", attempt)
    findings = fuzz_clean.run(0, 20, 2)
    assert sorted(findings) == ["input 12: the process ended with -6", "input 19: seen"]


def test_every_filter_without_files_of_its_own_is_in_it() -> None:
    names = {name for refiner in fuzz_clean._refiners().values() for name, _ in refiner._filters}
    assert {"c4", "gopher_quality", "gopher_repetition", "language", "length"} <= names
