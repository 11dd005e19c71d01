"""Ways to break a gate, one suite a file, each named for its suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.gated import Gated

BEFORE = "2026-11-19"
GOOD_F1 = {"csv": 0.9, "json": 0.9}


@dataclass(frozen=True)
class Case:
    """One way to break a gate: ``commit`` writes the input, the failure must name ``fails``."""

    stage: str
    fails: str
    commit: Callable[[Gated], object]
    shows: str = ""
    """A pattern in the failure's line: what was observed, and expected."""
    gates: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, Any] = field(default_factory=dict)
    before: Callable[[Gated], object] | None = None
    """Writes the partition of the day before, which passes its gate first."""

    def __str__(self) -> str:
        return f"{self.stage}-{self.fails}"
