"""Runs of characters that need no rule to be split: English letters, with at most one mark behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.kernels.compiled import kernel, part
from tasks.kernels.table import TABLE, Bytes, Hashes, Integers, Slots, enter, find, hash_of

UNKNOWN, HARD = -1, -2
"""What stands in the place of a run's count of words: not split yet; not by these rules."""


@part
def is_letter(byte: Any) -> Any:
    return (0x61 <= byte <= 0x7A) or (0x41 <= byte <= 0x5A)


@part
def is_mark_behind(data: Bytes, begin: int, at: int) -> Any:
    """Whether the byte at ``at``, behind letters alone from ``begin`` on, is a mark of its own."""
    mark = data[at]
    before = data[at - 1]
    stop = mark == 0x2E and (before >= 0x61 or (0x41 <= data[at - 2] <= 0x5A))  # a small letter, or two capitals
    return mark == 0x2C or mark == 0x3B or mark == 0x3A or mark == 0x21 or mark == 0x3F or mark == 0x29 or stop


@kernel("int64(int64[::1], int32[::1], int64[::1])")
def unknown(rows: Integers, counts: NDArray[np.int32], found: Integers) -> int:
    """Put each different row whose count is ``UNKNOWN`` into ``found``, and mark it as hard; returns how many."""
    size = 0
    for row in rows:
        if counts[row] == UNKNOWN:
            counts[row] = HARD
            found[size] = row
            size += 1
    return size


@kernel(
    f"int64(int64[::1], int64[::1], uint8[::1], {TABLE}, {TABLE}, int64, int32[::1], int64[::1], int64[::1], int64)"
)
def split_plain(
    runs: Integers,
    run_bounds: Integers,
    run_arena: Bytes,
    special_slots: Slots,
    special_hashes: Hashes,
    special_bounds: Integers,
    special_arena: Bytes,
    slots: Slots,
    hashes: Hashes,
    bounds: Integers,
    arena: Bytes,
    size: int,
    counts: NDArray[np.int32],
    starts: Integers,
    flat: Integers,
    filled: int,
) -> int:
    """Split those of ``runs`` that are plain, and not ``special``; returns how many words are known then.

    The words of run r become ``flat[starts[r]:][:counts[r]]``; ``flat`` is filled from ``filled`` on, two for each that
    has two, in the order of ``runs``. As ``tasks.text.words.split`` does it.
    """
    for run in runs:
        begin, end = run_bounds[run], run_bounds[run + 1]
        at = begin
        while at < end and is_letter(run_arena[at]):
            at += 1
        letters = at - begin
        if at == end:
            marked = False
        elif at == end - 1 and letters > 1:
            marked = is_mark_behind(run_arena, begin, at)
            if not marked:
                continue
        else:
            continue
        hashed = hash_of(run_arena, begin, end)
        if find(special_slots, special_hashes, special_bounds, special_arena, run_arena, begin, end, hashed) >= 0:
            continue
        if marked:
            hashed = hash_of(run_arena, begin, at)
            if find(special_slots, special_hashes, special_bounds, special_arena, run_arena, begin, at, hashed) >= 0:
                continue
        word = enter(slots, hashes, bounds, arena, size, run_arena, begin, at, hashed)
        size += word == size
        starts[run] = filled
        flat[filled] = word
        filled += 1
        counts[run] = 1
        if marked:
            mark = enter(slots, hashes, bounds, arena, size, run_arena, at, end, hash_of(run_arena, at, end))
            size += mark == size
            flat[filled] = mark
            filled += 1
            counts[run] = 2
    return size


@kernel("void(int64[::1], int64[::1], int32[::1], int64[::1], int64[::1])")
def expand(rows: Integers, starts: Integers, counts: NDArray[np.int32], flat: Integers, words: Integers) -> None:
    """The words of all runs, one behind the other."""
    size = 0
    for row in rows:
        for place in range(starts[row], starts[row] + counts[row]):
            words[size] = flat[place]
            size += 1


@kernel("int64(int64[::1], uint8[::1], int64, int64, int64[::1], uint8[::1], int64[::1])")
def describe(
    bounds: Integers,
    arena: Bytes,
    first: int,
    last: int,
    lengths: Integers,
    lettered: NDArray[np.uint8],
    others: Integers,
) -> int:
    """Length of each new word of English letters and figures, and whether a letter is in it; the rest go to ``others``.

    Returns how many those are.
    """
    left = 0
    for word in range(first, last):
        letters = 0
        at = bounds[word]
        while at < bounds[word + 1] and (is_letter(arena[at]) or 0x30 <= arena[at] <= 0x39):
            letters += is_letter(arena[at])
            at += 1
        if at == bounds[word + 1]:
            lengths[word] = at - bounds[word]
            lettered[word] = letters > 0
        else:
            others[left] = word
            left += 1
    return left
