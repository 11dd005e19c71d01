"""How the workers of a gang are doing, read off their pods; and, when they ended, whose end was the cause."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from plugins.errors import StepKilled, error_of
from plugins.gang.layout import CONTAINER
from tasks.errors import BadInput, GateFailed, NightshiftError, PeerLost, Preempted

_TRANSIENT = ("rate limit", "too many requests", "timeout", "temporarily", "unavailable", "bad gateway", "no such host")
"""In the message of a pull that may yet succeed: the kubelet tries again."""
_NO_IMAGE = ("ErrImageNeverPull", "InvalidImageName")
_PULLING = ("ErrImagePull", "ImagePullBackOff")
_MISFITS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_FAR = datetime.max.replace(tzinfo=UTC)
_MESSAGE_LENGTH = 600

State = Literal["pending", "running", "ended", "gone"]


@dataclass(frozen=True)
class Member:
    """One worker's pod."""

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
    """One worker as its pod says; ``pod`` is None when there is none (any more)."""
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


def result_of(members: Sequence[Member]) -> Mapping[str, Any] | None:
    """The gang's result: once one worker ended well with a manifest, the training is committed."""
    for member in members:
        if member.ended_well and (payload := member.payload) and "manifest" in payload:
            return payload
    return None


def cause_of(members: Sequence[Member], *, step: str = "train") -> NightshiftError:
    """The error of a gang that did not end well: that of the worker whose end was no consequence of another's."""
    root = min((member for member in members if member.failed), key=_rank)
    error = _error(root, len(members), step)
    others = [_brief(member) for member in members if member.failed and member is not root]
    text = " ".join([str(error), *(["The others:", "; ".join(others)] if others else [])])
    if root.state == "gone" and any(member.exit_code == Preempted.exit_code for member in members):
        return Preempted(text)
    return type(error)(text)


def late(members: Sequence[Member], seconds: float) -> NightshiftError:
    """The error of a gang of which not every worker runs after so long."""
    waiting = [member for member in members if member.state == "pending"]
    said = "; ".join(f"worker {m.worker} (pod {m.pod}): {m.reason or 'not started'}: {m.message}" for m in waiting)
    return NightshiftError(
        f"{len(waiting)} of {len(members)} workers did not start within {seconds:.0f} s: {said[:2000]}. "
        "Is the cluster full, or smaller than `resources` asks for? kubernetes.start_timeout is how long is waited"
    )


def _rank(member: Member) -> tuple[int, datetime, int]:
    code = member.exit_code
    order = {BadInput.exit_code: 0, GateFailed.exit_code: 1, Preempted.exit_code: 3, PeerLost.exit_code: 4}
    rank = 0 if member.hopeless else order.get(code, 2) if code is not None else 2
    return rank, member.finished or _FAR, member.worker


def _error(member: Member, workers: int, step: str) -> NightshiftError:
    who = f"worker {member.worker} of {workers} (pod {member.pod})"
    if (hopeless := member.hopeless) is not None:
        return BadInput(f"{step}: {who} cannot start: {member.reason}: {hopeless}")
    if member.state == "gone":
        return PeerLost(f"{step}: {who} is gone: its pod was deleted, or its node was lost.")
    if member.reason == "DeadlineExceeded":
        return NightshiftError(f"{step}: {who} ran longer than resources.timeout allows.")
    if member.reason == "OOMKilled":
        return StepKilled(
            f"{step}: {who} was killed: out of memory, it may use {member.memory or 'no more'}. Raise "
            "resources.memory, lower batch_size, or use more workers."
        )
    if member.exit_code is None:
        return PeerLost(f"{step}: {who} was ended by Kubernetes: {member.reason or 'Failed'}: {member.message}")
    lines = [] if member.payload else member.message.strip().splitlines()
    error = error_of(member.exit_code, member.payload, lines, step=f"{step}: {who}")
    if isinstance(error, StepKilled):  # by nobody of the gang: the others are well, and wait to start again
        return PeerLost(str(error))
    return error if str(error).startswith(step) else type(error)(f"{step}: {who}: {error}")


def _brief(member: Member) -> str:
    said = ((member.payload or {}).get("error") or {}).get("message") or member.reason or ""
    how = "is gone" if member.state == "gone" else f"exit code {member.exit_code}"
    if member.hopeless is not None:
        how = "cannot start"
    return f"worker {member.worker}: {how} {said}"[:_MESSAGE_LENGTH].strip()


def _memory(pod: Any) -> str:
    for container in pod.spec.containers if pod.spec else ():
        if container.name == CONTAINER and container.resources and container.resources.limits:
            return str(container.resources.limits.get("memory", ""))
    return ""
