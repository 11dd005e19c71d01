"""What a task's log says of its end, and the exit code that this stands for."""

from __future__ import annotations

import re

from plugins.errors import StepKilled
from tasks.errors import NightshiftError, error_named


def error_in(log: str) -> str:
    """The error of ours that a task's log ends with; nothing where it names none."""
    said = [line for line in log.splitlines() if _type_of(line)]
    return said[-1][:400] if said else ""


def exit_code_of(said: str) -> int:
    """The exit code that the error's type is made of, and made into.

    Raises:
        AssertionError: it begins with no error of ours.
    """
    kind = _type_of(said)
    assert kind, f"no error of ours: {said!r}"
    return kind.exit_code


def _type_of(line: str) -> type[NightshiftError] | None:
    name = re.match(r"(\w+): ", line)
    return (StepKilled if name[1] == StepKilled.__name__ else error_named(name[1])) if name else None
