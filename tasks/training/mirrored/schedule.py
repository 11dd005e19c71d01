"""What the learning rate and the loss scale are at a step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tasks.models._fit import FitParams

_FIRST_SCALE = 2.0**15
_GROWTH_STEPS = 2000


def learning_rate(params: FitParams, step: int, steps: int) -> float:
    """The rate at ``step`` of ``steps`` in all, counted from 0: a linear warm-up, then the schedule down to 0."""
    if step < params.warmup_steps:
        return params.learning_rate * (step + 1) / params.warmup_steps
    done = (step - params.warmup_steps) / max(steps - params.warmup_steps, 1)
    match params.schedule:
        case "linear":
            return params.learning_rate * (1 - done)
        case "cosine":
            return params.learning_rate * (1 + math.cos(math.pi * done)) / 2
        case _:
            return params.learning_rate


@dataclass(frozen=True, slots=True)
class LossScale:
    """The dynamic loss scale of float16, by which small gradients are kept from vanishing.

    A step whose gradients are not finite is skipped and halves it; many good ones in a row double it
    (Micikevicius et al., Mixed Precision Training, 2018, section 3.2). Kept outside the graph: every
    worker sees the same reduced gradients, so all decide alike.
    """

    value: float = 1.0
    good: int = 0
    dynamic: bool = False

    @classmethod
    def of(cls, precision: str) -> LossScale:
        """The scale that training in this precision begins with."""
        return cls(_FIRST_SCALE, dynamic=True) if precision == "mixed_float16" else cls()

    def after(self, finite: bool) -> LossScale:
        """The scale of the next step."""
        if not self.dynamic:
            return self
        if not finite:
            return replace(self, value=self.value / 2, good=0)
        if self.good + 1 == _GROWTH_STEPS:
            return replace(self, value=self.value * 2, good=0)
        return replace(self, good=self.good + 1)
