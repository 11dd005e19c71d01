"""How the workers of a gang ended, and whose end was the cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from plugins.errors import StepKilled
from plugins.runtime.pod_end import error_of_pod
from plugins.runtime.pod_state import Member
from tasks.errors import BadInput, GateFailed, NightshiftError, PeerLost, Preempted

_FAR = datetime.max.replace(tzinfo=UTC)
_MESSAGE_LENGTH = 600


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
    who = f"{step}: worker {member.worker} of {workers} (pod {member.pod})"
    error = error_of_pod(member, who, remedy="lower batch_size, or use more workers")
    if isinstance(error, StepKilled) and member.reason != "OOMKilled":
        return PeerLost(str(error))  # by nobody of the gang: the others are well, and wait to start again
    return error


def _brief(member: Member) -> str:
    said = ((member.payload or {}).get("error") or {}).get("message") or member.reason or ""
    how = "is gone" if member.state == "gone" else f"exit code {member.exit_code}"
    if member.hopeless is not None:
        how = "cannot start"
    return f"worker {member.worker}: {how} {said}"[:_MESSAGE_LENGTH].strip()
