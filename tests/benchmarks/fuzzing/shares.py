"""Which kinds of inputs there are, and how often each comes by."""

from __future__ import annotations

from collections import Counter
from typing import Literal, get_args

Kind = Literal["page", "text", "warc", "image", "archive", "rows"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHARES: dict[Kind, int] = {"page": 6, "text": 2, "warc": 2, "image": 2, "archive": 2, "rows": 2}
"""Of each sixteen inputs."""
ROUND = tuple(kind for kind in KINDS for _ in range(SHARES[kind]))
"""The kinds of inputs 0 to 15, and so on."""


def kinds_of(numbers: range) -> Counter[str]:
    """How many inputs of each kind have these numbers, which follow each other."""
    found: Counter[str] = Counter()
    for place, kind in enumerate(ROUND):
        first = numbers.start + (place - numbers.start) % len(ROUND)
        found[kind] += len(range(first, numbers.stop, len(ROUND)))
    return found
