"""How a pod is doing, read off what Kubernetes says of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

CONTAINER = "base"
"""The name of a pod's one container: what KubernetesPodOperator looks for."""
_TRANSIENT = ("rate limit", "too many requests", "timeout", "temporarily", "unavailable", "bad gateway", "no such host")
"""In the message of a pull that may yet succeed: the kubelet tries again."""
_NO_IMAGE = ("ErrImageNeverPull", "InvalidImageName")
_PULLING = ("ErrImagePull", "ImagePullBackOff")
_MISFITS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")

State = Literal["pending", "running", "ended", "gone"]


@dataclass(frozen=True)
class Member:
    """A pod as it stands: one worker's of a gang, or a step's only one."""

    worker: int
    pod: str
    state: State
    exit_code: int | None = None
    reason: str = ""
    """Kubernetes' word for it: OOMKilled, Evicted, Unschedulable, ErrImagePull."""
    message: str = ""
    """What the container or Kubernetes said last."""
    finished: datetime | None = None
    memory: str = ""
    """Its limit."""
    image: str = ""

    @property
    def ended_well(self) -> bool:
        return self.state == "ended" and self.exit_code == 0

    @property
    def failed(self) -> bool:
        """Whether this worker will not end well any more."""
        return self.state == "gone" or (self.state == "ended" and self.exit_code != 0) or self.hopeless is not None

    @property
    def payload(self) -> dict[str, Any] | None:
        """The result that the container left as its termination message."""
        lines = self.message.strip().splitlines()
        try:
            value = json.loads(lines[-1]) if lines else None
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    @property
    def hopeless(self) -> str | None:
        """Why a pod that waits to start never will; None as long as it may."""
        if self.state != "pending":
            return None
        if self.reason in (*_NO_IMAGE, *_MISFITS):
            return self.message
        if self.reason in _PULLING and not any(word in self.message.lower() for word in _TRANSIENT):
            return self.message
        return None


def member_of(worker: int, name: str, pod: Any) -> Member:
    """How ``worker`` is doing, as its pod says; ``pod`` is None when there is none (any more)."""
    if pod is None:
        return Member(worker, name, "gone")
    status, memory = pod.status, _memory(pod)
    container = next((each for each in status.container_statuses or () if each.name == CONTAINER), None)
    state = container.state if container else None
    if state and state.terminated:
        end = state.terminated
        # A pod that its deadline or an eviction ended says so itself; its container was merely killed.
        return Member(
            worker,
            name,
            "ended",
            end.exit_code,
            status.reason or end.reason or "",
            end.message or status.message or "",
            end.finished_at,
            memory,
            (container and container.image) or "",
        )
    if status.phase in ("Succeeded", "Failed"):
        return Member(worker, name, "ended", None, status.reason or "", status.message or "", memory=memory)
    if state and state.running:
        return Member(worker, name, "running", memory=memory)
    if state and state.waiting and state.waiting.reason:
        return Member(worker, name, "pending", reason=state.waiting.reason, message=state.waiting.message or "")
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return Member(worker, name, "pending", reason=condition.reason or "", message=condition.message or "")
    return Member(worker, name, "pending")


def _memory(pod: Any) -> str:
    for container in pod.spec.containers if pod.spec else ():
        if container.name == CONTAINER and container.resources and container.resources.limits:
            return str(container.resources.limits.get("memory", ""))
    return ""
