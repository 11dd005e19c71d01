"""What happens to bytes on their way."""

from __future__ import annotations

import random


def damaged(data: bytes, chance: random.Random, share: float = 0.4) -> bytes:
    """Now and then: cut, doubled, or with bytes changed."""
    if not data or chance.random() > share:
        return data
    at, to = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    return chance.choice(
        [
            data[:at],
            data[at:],
            data[:at] + data[to:],
            data[:to] + data[at:],
            data[:at] + chance.randbytes(3) + data[at + 3 :],
        ]
    )


def numbered(data: bytes, chance: random.Random) -> bytes:
    """With one of its numbers, or what may be one, another: sizes, counts and places are such."""
    if len(data) < 8:
        return data
    at, size = chance.randrange(len(data) - 4), chance.choice([1, 2, 4])
    value = chance.choice([0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, chance.getrandbits(32)])
    order = chance.choice(["little", "big"])
    return data[:at] + (value & ((1 << 8 * size) - 1)).to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]
