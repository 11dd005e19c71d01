"""What a language model writes: one token after the other, each drawn from what it finds likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tasks.models._likelihood import Reader
    from tasks.models._subwords import Subwords


@dataclass(frozen=True, slots=True)
class Sampling:
    """How it is drawn."""

    tokens: int = 100
    """At most so many."""
    temperature: float = 0.8
    """Scores are divided by it; 0 takes the likeliest token each time."""
    top_p: float = 0.95
    """Drawn from the likeliest tokens that together have this chance (Holtzman et al., 2020)."""
    seed: int = 0
    first: int = 0
    """The place of the first prompt among all that are continued."""


def write(reader: Reader, subwords: Subwords, prompts: Sequence[str], how: Sampling, window: int) -> list[str]:
    """The continuation of each prompt, up to the end of its document; equal prompts may get different ones.

    What a prompt gets depends on itself, its place and the seed, not on the other prompts.
    """
    if not prompts:
        return []
    begun = [_prompted(reader, [0, *subwords.ids(prompt)], window) for prompt in prompts]
    scores, state = (np.concatenate([each[place] for each in begun]) for place in (0, 1))
    draws = [np.random.default_rng([how.seed, how.first + place]) for place in range(len(prompts))]
    written: list[list[int]] = [[] for _ in prompts]
    for _ in range(how.tokens):
        said = [_drawn(row, draw, how) for row, draw in zip(scores, draws, strict=True)]
        for ids, token in zip(written, said, strict=True):
            ids.append(token)
        if all(0 in ids for ids in written):
            break
        scores, state = reader.go(np.array(said, np.int32)[:, None], state)
    return [subwords.text(ids) for ids in written]


def _prompted(reader: Reader, ids: list[int], window: int) -> tuple[np.ndarray, np.ndarray]:
    state, scores = reader.begin(1), np.zeros((1, 1))
    for start in range(0, len(ids), window):
        scores, state = reader.go(np.array([ids[start : start + window]], np.int32), state)
    return scores, state


def _drawn(scores: np.ndarray, draw: np.random.Generator, how: Sampling) -> int:
    if not how.temperature:
        return int(scores.argmax())
    chances = np.exp((scores - scores.max()).astype(np.float64) / how.temperature)
    order = np.argsort(-chances, kind="stable")
    ranked = chances[order] / chances.sum()
    likely = ranked[: int(np.searchsorted(np.cumsum(ranked), how.top_p)) + 1]
    return int(order[draw.choice(len(likely), p=likely / likely.sum())])
