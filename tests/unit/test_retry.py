"""What is retried, and from what an error is told."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import RetryAction

from plugins.errors import StepKilled, error_of
from plugins.retry import BackoffPolicy, retry_arguments
from tasks.errors import BadInput, Corrupt, GateFailed, NightshiftError, PeerLost, Preempted, Quarantined, StoreError


def payload(name: str, message: str = "what went wrong") -> dict[str, object]:
    return {"step": "clean", "error": {"type": name, "message": message}}


@pytest.mark.parametrize("error", [BadInput("x"), GateFailed("x"), Quarantined("x")])
def test_what_fails_again_is_never_retried(error: Exception) -> None:
    assert BackoffPolicy().evaluate(error, 1, 3).action is RetryAction.FAIL


@pytest.mark.parametrize(
    "error", [NightshiftError("x"), StoreError("x"), Corrupt("x"), StepKilled("x"), OSError("x"), TimeoutError()]
)
def test_everything_else_is_retried(error: Exception) -> None:
    decision = BackoffPolicy().evaluate(error, 1, 3)
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay is not None


def test_delays_double_up_to_a_limit_and_are_spread() -> None:
    policy = BackoffPolicy(first=timedelta(seconds=10), longest=timedelta(seconds=60))
    for try_number, middle in ((1, 10), (2, 20), (3, 40), (4, 60), (500, 60)):
        delays = [policy.delay(try_number).total_seconds() for _ in range(200)]
        assert middle * 0.5 <= min(delays) < middle * 0.7, "spread below"
        assert middle * 1.3 < max(delays) < middle * 1.5, "spread above"


def test_a_gang_is_started_again_soon_and_one_that_was_told_to_leave_at_once() -> None:
    policy = BackoffPolicy()
    lost = [policy.evaluate(PeerLost("x"), try_number, 9).retry_delay for try_number in (1, 2, 500)]
    assert lost[0] is not None and lost[1] is not None and lost[2] is not None
    assert timedelta(seconds=1) < lost[0] < timedelta(seconds=5)
    assert timedelta(seconds=2) < lost[1] < timedelta(seconds=10)
    assert lost[2] > timedelta(minutes=5), "a gang that never holds must not be started for ever at full speed"
    for try_number in (1, 5):
        assert policy.evaluate(Preempted("x"), try_number, 9).retry_delay == timedelta(0)


def test_the_delay_of_a_task_that_was_cleared_begins_anew() -> None:
    context: Any = {"task": SimpleNamespace(retries=3)}
    before = BackoffPolicy().evaluate(PeerLost("x"), 3, 3, context).retry_delay  # the third try of four
    cleared = BackoffPolicy().evaluate(PeerLost("x"), 9, 11, context).retry_delay  # the first after eight
    assert before is not None and cleared is not None
    assert timedelta(seconds=6) <= before < timedelta(seconds=18)
    assert timedelta(seconds=1) < cleared < timedelta(seconds=5)


def test_the_first_delay_is_a_setting_of_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_RETRY_DELAY", "2")
    arguments = retry_arguments()
    assert arguments["retry_policy"].first == arguments["retry_delay"] == timedelta(seconds=2)


@pytest.mark.parametrize(
    ("code", "name", "expected"),
    [
        (2, "BadInput", BadInput),
        (3, "GateFailed", GateFailed),
        (3, "Quarantined", Quarantined),
        (1, "StoreError", StoreError),
        (1, "Corrupt", Corrupt),
        (1, "ValueError", NightshiftError),
        (75, "PeerLost", PeerLost),
        (77, "Preempted", Preempted),
        (75, "BadInput", PeerLost),
        (99, "Anything", NightshiftError),
    ],
)
def test_a_step_ends_with_the_exception_that_its_code_and_type_name(
    code: int, name: str, expected: type[Exception]
) -> None:
    error = error_of(code, payload(name), [], step="clean")
    assert type(error) is expected
    assert str(error) == "what went wrong"


def test_the_exit_code_wins_over_a_type_that_contradicts_it() -> None:
    assert type(error_of(3, payload("StoreError"), [], step="gate")) is GateFailed
    assert type(error_of(1, payload("BadInput"), [], step="gate")) is NightshiftError


def test_a_step_that_dies_without_a_word_is_quoted_from_its_log() -> None:
    error = error_of(1, None, ["first", "MemoryError"], step="clean")
    assert "clean" in str(error)
    assert "MemoryError" in str(error)


@pytest.mark.parametrize("code", [-9, 137])
def test_a_killed_step_names_the_signal(code: int) -> None:
    error = error_of(code, None, [], step="train")
    assert isinstance(error, StepKilled)
    assert "signal 9" in str(error)
