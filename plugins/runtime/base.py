"""The interface of a runtime: run one command to its end, say what it says, kill all of it on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.errors import BadInput

RUNTIMES = ("local",)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: exit code (negative: killed by that signal), the JSON object of its last line of
    standard output (None when that line was none), and the last lines of standard error."""

    exit_code: int
    payload: dict[str, Any] | None
    last_lines: Sequence[str]


class Runtime(Protocol):
    """One command's life. An instance runs one command, once."""

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], on_line: Callable[[str], None]) -> Outcome:
        """Run ``nightshift <arguments>``; ``on_line`` gets each line of its standard error as it comes.

        However this returns or raises, no process of the command is left.
        """

    def kill(self) -> None:
        """End the command and everything it started; ``run`` then returns. Safe at any time."""


def runtime_for(name: str) -> Runtime:
    """The runtime that a corpus names.

    Raises:
        BadInput: a runtime that this release does not have.
    """
    if name == "local":
        from plugins.runtime.local import LocalRuntime

        return LocalRuntime()
    raise BadInput(unsupported(name))


def unsupported(name: str) -> str:
    """Why ``runtime: <name>`` cannot be used."""
    return (
        f"runtime: {name}: steps as pods need plugins/runtime/pods.py over KubernetesPodOperator, which is not in "
        f"this release; available: {', '.join(RUNTIMES)}"
    )
