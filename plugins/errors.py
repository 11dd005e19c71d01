"""From a step's exit code back to the exception that ended it: both runtimes let a retry policy decide alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.errors import BadInput, GateFailed, NightshiftError, PeerLost, Preempted, error_named


class StepKilled(NightshiftError):
    """The step's process was killed from outside (out of memory, an operator, a lost node): worth a retry."""


_FAMILIES: tuple[type[NightshiftError], ...] = (NightshiftError, BadInput, GateFailed, PeerLost, Preempted)
_BY_CODE = {error.exit_code: error for error in _FAMILIES}


def error_of(
    exit_code: int, payload: Mapping[str, Any] | None, last_lines: Sequence[str], *, step: str
) -> NightshiftError:
    """The exception of a step that ended with a non-zero ``exit_code``.

    The exit code decides the family; the type named in ``payload["error"]`` (the step's last line of
    output) only refines it, so that a garbled line can never turn a failed gate into a retry.
    ``last_lines`` of standard error stand in for the message of a step that died without one.
    """
    given: Mapping[str, Any] = (payload or {}).get("error") or {}
    if exit_code < 0 or exit_code > 128:
        signal = -exit_code if exit_code < 0 else exit_code - 128
        return StepKilled(f"{step} was killed by signal {signal}. {_tail(last_lines)}")
    family = _BY_CODE.get(exit_code, NightshiftError)
    refined = error_named(str(given.get("type"))) or family
    chosen = refined if refined.exit_code == family.exit_code else family
    message = given.get("message") or f"{step} ended with exit code {exit_code}. {_tail(last_lines)}"
    return chosen(str(message))


def _tail(lines: Sequence[str]) -> str:
    return "Its last words: " + " | ".join(lines[-5:]) if lines else "It said nothing."
