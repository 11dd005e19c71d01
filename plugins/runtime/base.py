"""What a runtime tells of a command: how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: exit code (negative: killed by that signal), the JSON object of its result (None when
    it left none), and the last lines that it wrote."""

    exit_code: int
    payload: dict[str, Any] | None
    last_lines: Sequence[str]
