"""Why a pod came to nothing, for the person who reads the task's log: a step's, or a worker's of a gang."""

from __future__ import annotations

from plugins.errors import StepKilled, error_of
from plugins.runtime.base import Outcome
from plugins.runtime.pod_state import Member
from tasks.errors import BadInput, Lacking, NightshiftError

_NOT_STARTED = ("StartError", "ContainerCannotRun")
"""The end of a container whose command could not be run at all, in containerd's word and in Docker's."""
_NO_COMMAND = ("executable file not found", "no such file or directory", "permission denied")
"""In its message where every try would hear the same."""


def outcome_of(pod: Member) -> Outcome:
    """How the command in a pod ended.

    Raises:
        ValueError: the container has not ended.
    """
    if pod.exit_code is None:
        raise ValueError(f"pod {pod.pod} is {pod.state}: its container has no exit code")
    # A container that left no result left the end of its log instead.
    last_lines = [] if pod.payload else pod.message.strip().splitlines()
    return Outcome(pod.exit_code, pod.payload, last_lines)


def error_of_pod(pod: Member, who: str, *, remedy: str) -> NightshiftError:
    """The error of a pod that did not end well: what befell it, else what its command said. It begins with ``who``."""
    if mishap := mishap_of(pod, who, remedy=remedy):
        return mishap
    outcome = outcome_of(pod)
    error = in_its_image(error_of(outcome.exit_code, outcome.payload, outcome.last_lines, step=who), pod)
    return error if str(error).startswith(who) else type(error)(f"{who}: {error}")


def in_its_image(error: NightshiftError, pod: Member) -> NightshiftError:
    """The error of a pod's command, with the image where something is lacking in that."""
    return Lacking(f"{error}. The pod's image is {pod.image}") if isinstance(error, Lacking) and pod.image else error


def mishap_of(pod: Member, who: str, *, remedy: str, said: str = "") -> NightshiftError | None:
    """What befell a pod from outside its command; None where the command's own end says it all.

    ``remedy`` makes the work of one pod less, ``said`` is what whoever watched it knows beyond its state.
    """
    if pod.hopeless is not None:
        return BadInput(f"{who} cannot start: {pod.reason}: {pod.hopeless} {_advice(pod.reason)}".rstrip())
    if pod.reason in _NOT_STARTED and any(word in pod.message.lower() for word in _NO_COMMAND):
        return BadInput(
            f"{who} cannot start: {pod.reason}: {pod.message} The image has no such command: "
            "is it one of Nightshift's, of this release? Look at kubernetes.image, trainer_image"
        )
    if pod.state == "pending":
        return NightshiftError(
            f"{who} did not start in time (kubernetes.start_timeout): "
            f"{pod.reason or 'it waits'}: {pod.message or said} {_advice(pod.reason)}".rstrip()
        )
    if pod.state == "gone":
        return StepKilled(f"{who} is gone: its pod was deleted, or its node was lost. The next try starts a new one")
    if pod.state == "running":
        return NightshiftError(f"{who} was still running when its task ended: {said or 'resources.timeout is over'}")
    if pod.reason == "DeadlineExceeded":
        return NightshiftError(f"{who} ran longer than resources.timeout allows: raise it, or {remedy}")
    if pod.reason == "OOMKilled":
        return StepKilled(
            f"{who} was killed: out of memory, it may use {pod.memory or 'no more'}. Raise resources.memory, "
            f"or {remedy}"
        )
    if pod.reason in ("Evicted", "Preempting", "NodeLost", "NodeShutdown", "Shutdown", "Terminated"):
        return StepKilled(f"{who} was ended by its node: {pod.reason}: {pod.message} The next try starts a new one")
    if pod.exit_code is None:
        return StepKilled(f"{who} was ended by Kubernetes: {pod.reason or 'Failed'}: {pod.message or said}")
    return None


def _advice(reason: str) -> str:
    """What to do about a pod that does not start."""
    if "Image" in reason or reason == "ErrImageNeverPull":
        return "Is that tag pushed, or loaded into the node? Look at kubernetes.image, trainer_image, image_pull_policy"
    if reason == "Unschedulable":
        return (
            "No node takes it: ask for less (resources.cpu, memory, gpus), look at kubernetes.node_selector and "
            "tolerations, or wait for room"
        )
    if reason == "CreateContainerConfigError":
        return "Is the Secret that kubernetes.env_secret names in that namespace, and what kubernetes.volumes mounts?"
    return ""
