"""What is said of a step's pod that came to nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import RetryAction
from kubernetes.client import models as k8s

from plugins.errors import StepKilled
from plugins.retry import BackoffPolicy
from plugins.runtime.pod_end import error_of_pod, mishap_of, outcome_of
from plugins.runtime.pod_state import CONTAINER, Member, member_of
from tasks.errors import BadInput, NightshiftError


def mishap(**fields: Any) -> NightshiftError | None:
    pod = Member(**{"worker": 0, "pod": "docs-clean-0-2-x", "state": "ended", **fields})
    return mishap_of(pod, f"clean: pod {pod.pod}", remedy="make more shards", said="what the trigger said")


@pytest.mark.parametrize(
    ("fields", "kind", "says"),
    [
        ({"state": "pending", "reason": "ErrImageNeverPull", "message": "x is not there"}, BadInput, "trainer_image"),
        ({"state": "pending", "reason": "ErrImagePull", "message": "manifest unknown: x:1"}, BadInput, "x:1"),
        ({"state": "pending", "reason": "ErrImagePull", "message": "429 too many requests"}, NightshiftError, "429"),
        ({"state": "pending", "reason": "CreateContainerConfigError", "message": "no s"}, BadInput, "env_secret"),
        ({"state": "pending", "reason": "Unschedulable", "message": "0/1 nodes"}, NightshiftError, "ask for less"),
        ({"state": "pending"}, NightshiftError, "what the trigger said"),
        ({"state": "gone"}, StepKilled, "deleted"),
        ({"state": "running"}, NightshiftError, "still running"),
        ({"exit_code": 137, "reason": "OOMKilled", "memory": "2Gi"}, StepKilled, "may use 2Gi. Raise resources.memory"),
        ({"exit_code": 137, "reason": "Evicted", "message": "low on memory."}, StepKilled, "Evicted: low on memory."),
        (
            {"exit_code": 128, "reason": "StartError", "message": "exec: nightshift: executable file not found"},
            BadInput,
            "trainer_image",
        ),
        ({"exit_code": 143, "reason": "DeadlineExceeded"}, NightshiftError, "resources.timeout"),
        ({"exit_code": None, "reason": "UnexpectedAdmissionError"}, StepKilled, "UnexpectedAdmissionError"),
    ],
    ids=lambda value: str(value.get("reason") or value["state"]) if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_befalls_a_pod_is_named_with_what_to_do(fields: dict[str, Any], kind: type[Exception], says: str) -> None:
    error = mishap(**fields)
    assert type(error) is kind
    assert says in str(error)
    assert "docs-clean-0-2-x" in str(error)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 143])
def test_the_end_of_a_command_is_told_by_the_command(code: int) -> None:
    assert mishap(exit_code=code, reason="Error") is None


def test_an_image_without_a_library_is_named_beside_it_and_not_tried_again() -> None:
    said = {"error": {"type": "Lacking", "message": "recipe text_encoder needs keras, not installed here"}}
    state = k8s.V1ContainerState(terminated=k8s.V1ContainerStateTerminated(exit_code=2, message=json.dumps(said)))
    status = k8s.V1ContainerStatus(
        name=CONTAINER, image="example.org/trainer:1", image_id="i", ready=False, restart_count=0, state=state
    )
    ended = k8s.V1Pod(spec=None, status=k8s.V1PodStatus(phase="Failed", container_statuses=[status]))
    error = error_of_pod(member_of(0, "docs-snapshot-x", ended), "snapshot: pod docs-snapshot-x", remedy="")
    assert "needs keras, not installed here. The pod's image is example.org/trainer:1" in str(error)
    assert BackoffPolicy().evaluate(error, 1, 3).action is RetryAction.FAIL


def test_a_start_that_another_try_may_mend_is_tried_again() -> None:
    assert mishap(exit_code=128, reason="StartError", message="cgroup: device or resource busy") is None


def test_a_termination_message_is_the_result() -> None:
    result = {"step": "clean", "manifest": "s3://b/m"}
    outcome = outcome_of(Member(0, "pod", "ended", 0, message=json.dumps(result)))
    assert (outcome.exit_code, outcome.payload, list(outcome.last_lines)) == (0, result, [])


def test_the_end_of_the_log_stands_in_for_a_result() -> None:
    outcome = outcome_of(Member(0, "pod", "ended", 1, message="Traceback\nZeroDivisionError: division by zero\n"))
    assert outcome.payload is None
    assert list(outcome.last_lines) == ["Traceback", "ZeroDivisionError: division by zero"]


def test_a_container_without_an_end_has_no_outcome() -> None:
    with pytest.raises(ValueError, match="running"):
        outcome_of(Member(0, "pod", "running"))
