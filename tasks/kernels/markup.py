"""The pieces of HTML's markup: attributes, comments, and what classes say."""

from __future__ import annotations

import numpy as np

from tasks.kernels.compiled import kernel, part
from tasks.kernels.table import BASIS, PRIME, TABLE, Bytes, Hashes, Integers, Slots, mixed


@kernel(f"int64(uint8[::1], int64, int64, {TABLE}, uint8[::1])")
def meaning(
    data: Bytes, at: int, end: int, slots: Slots, hashes: Hashes, bounds: Integers, arena: Bytes, meanings: Bytes
) -> int:
    """What the words of a class or an id mean together; words are parted by case, and by all but ASCII letters."""
    found = 0
    while at < end:
        byte = data[at] | 0x20
        if not (0x61 <= byte <= 0x7A):
            at += 1
            continue
        begin, hashed = at, BASIS
        capitals = data[at] < 0x61 and at + 1 < end and 0x41 <= data[at + 1] <= 0x5A
        capitals = capitals or (data[at] < 0x61 and not (at + 1 < end and 0x61 <= data[at + 1] <= 0x7A))
        while at < end:
            byte = data[at]
            if not (0x41 <= byte <= 0x5A if capitals else (0x61 <= byte <= 0x7A or at == begin)):
                break
            hashed = (hashed ^ np.uint64(byte | 0x20)) * PRIME
            at += 1
        hashed = mixed(hashed)
        slot = np.int64(hashed) & (len(slots) - 1)
        while slots[slot] >= 0:
            if hashes[slots[slot]] == hashed:
                found |= meanings[slots[slot]]
                break
            slot = (slot + 1) & (len(slots) - 1)
    return found


@kernel("int64(uint8[::1], int64, int64[::1])")
def attributes(data: Bytes, at: int, found: Integers) -> int:
    """Pass the attributes behind a tag's name; ``found``: begin and end of class and of id, 1 for ``/>``.

    Returns the place behind the tag.
    """
    found[:] = 0
    end = len(data)
    while at < end and data[at] != 0x3E:
        byte = data[at]
        if byte <= 0x20 or byte == 0x2F:
            found[4] = np.int64(byte == 0x2F)
            at += 1
            continue
        found[4] = 0
        begin = at
        at += 1
        while at < end and data[at] > 0x20 and data[at] != 0x3D and data[at] != 0x3E and data[at] != 0x2F:
            at += 1
        size = at - begin
        which = -1
        if size == 2 and data[begin] | 0x20 == 0x69 and data[begin + 1] | 0x20 == 0x64:  # id
            which = 2
        elif (
            size == 5
            and data[begin] | 0x20 == 0x63
            and data[begin + 1] | 0x20 == 0x6C
            and data[begin + 4] | 0x20 == 0x73
        ):
            which = 0  # class
        while at < end and data[at] <= 0x20:
            at += 1
        if at >= end or data[at] != 0x3D:
            continue
        at += 1
        while at < end and data[at] <= 0x20:
            at += 1
        if at >= end:
            break
        quote = data[at]
        if quote == 0x22 or quote == 0x27:
            at += 1
            begin = at
            while at < end and data[at] != quote:
                at += 1
            stop = at
            at += 1
        else:
            begin = at
            while at < end and data[at] > 0x20 and data[at] != 0x3E:
                at += 1
            stop = at
        if which >= 0 and found[which + 1] == 0:
            found[which], found[which + 1] = begin, stop
    return min(at + 1, end)


@part
def behind(data: Bytes, at: int) -> int:
    """The place behind the next ``>``."""
    while at < len(data) and data[at] != 0x3E:
        at += 1
    return min(at + 1, len(data))


@kernel("int64(uint8[::1], int64)")
def behind_comment(data: Bytes, at: int) -> int:
    """The place behind what begins with ``<!`` or ``<?``."""
    end = len(data)
    if at + 3 < end and data[at + 2] == 0x2D and data[at + 3] == 0x2D:
        at += 2
        while at + 2 < end and not (data[at] == 0x2D and data[at + 1] == 0x2D and data[at + 2] == 0x3E):
            at += 1
        return min(at + 3, end)
    return behind(data, at)


@kernel("int64(uint8[::1], int64, int64, int64)")
def raw_end(data: Bytes, at: int, name: int, size: int) -> int:
    """Where the end tag begins that has the name at ``name``; the end of the page where there is none."""
    end = len(data)
    while at + 1 + size < end:
        if data[at] == 0x3C and data[at + 1] == 0x2F:
            same = 0
            while same < size and data[at + 2 + same] | 0x20 == data[name + same] | 0x20:
                same += 1
            if same == size:
                return at
        at += 1
    return end
