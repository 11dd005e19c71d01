"""The runs of characters without space in a text, found and numbered in one pass over its bytes."""

from __future__ import annotations

import numpy as np

from tasks.kernels.compiled import kernel, part
from tasks.kernels.table import BASIS, PRIME, TABLE, Bytes, Hashes, Integers, Slots, Table, bytes_of, enter, mixed

WORD, SPACE, LEAD = 0, 1, 2


def _kinds() -> Bytes:
    """Of each byte whether it is white space, or may be the first of white space of several bytes."""
    kinds = np.zeros(256, np.uint8)
    kinds[[*range(0x09, 0x0E), *range(0x1C, 0x21)]] = SPACE
    kinds[[0xC2, 0xE1, 0xE2, 0xE3]] = LEAD
    return kinds


KINDS = _kinds()


@part
def space_at(data: Bytes, at: int) -> int:
    """Bytes of the white space behind this first byte of several, 0 for none; as ``str.isspace`` has it."""
    first, left = data[at], len(data) - at
    width = 0
    if first == 0xC2:
        if left > 1 and (data[at + 1] == 0x85 or data[at + 1] == 0xA0):
            width = 2
    elif left > 2:
        second, third = data[at + 1], data[at + 2]
        if (
            (first == 0xE1 and second == 0x9A and third == 0x80)  # U+1680
            or (first == 0xE3 and second == 0x80 and third == 0x80)  # U+3000
            or (first == 0xE2 and second == 0x81 and third == 0x9F)  # U+205F
            # U+2000 to 200A, 2028, 2029, 202F
            or (first == 0xE2 and second == 0x80 and (third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF))
        ):
            width = 3
    return width


@kernel(f"void({TABLE}, uint8[::1], uint8[::1], int64[::1], int64[::1], int64[::1])")
def read(
    slots: Slots,
    hashes: Hashes,
    bounds: Integers,
    arena: Bytes,
    data: Bytes,
    kinds: Bytes,
    numbers: Integers,
    counts: Integers,
    state: Integers,
) -> None:
    """Number the runs of ``data`` into ``numbers``, and count those of each line (what ``\\n`` parts) in ``counts``.

    ``state``: where to go on, runs found, line, and strings in the table; returns early where that is full.
    """
    at, found, line, size = state[0], state[1], state[2], state[3]
    end, room = len(data), len(hashes)
    while at < end and size < room:
        kind = kinds[data[at]]
        if kind == SPACE:
            line += data[at] == 0x0A
            at += 1
            continue
        if kind == LEAD:
            width = space_at(data, at)
            if width:
                at += width
                continue
        begin, hashed = at, BASIS
        while at < end:
            kind = kinds[data[at]]
            if kind == SPACE or (kind == LEAD and space_at(data, at) > 0):
                break
            hashed = (hashed ^ np.uint64(data[at])) * PRIME
            at += 1
        number = enter(slots, hashes, bounds, arena, size, data, begin, at, mixed(hashed))
        size += number == size
        numbers[found] = number
        counts[line] += 1
        found += 1
    state[0], state[1], state[2], state[3] = at, found, line, size


def runs_of(text: str, table: Table) -> tuple[Integers, Integers]:
    """The number in ``table`` of each run that ``text.split()`` finds, and how many runs each line has."""
    data = bytes_of(text.encode("utf-8", "surrogatepass"))
    numbers = np.empty(len(data) // 2 + 1, np.int64)
    counts = np.zeros(text.count("\n") + 1, np.int64)
    state = np.array([0, 0, 0, table.size], np.int64)
    while state[0] < len(data):
        table.reserve(1 + len(data) // 16, len(data))
        read(*table.arrays, data, KINDS, numbers, counts, state)
        table.size = int(state[3])
    return numbers[: state[1]].copy(), counts
