"""Character references of HTML: their names, and what they stand for."""

from __future__ import annotations

from html.entities import html5

import numpy as np

from tasks.kernels.compiled import kernel
from tasks.kernels.table import BASIS, PRIME, TABLE, Bytes, Hashes, Integers, Slots, Table, bytes_of, find, mixed

_LONGEST = 32

WINDOWS = np.array(
    [ord(bytes([byte]).decode("cp1252", "replace")) if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else byte
     for byte in range(0x80, 0xA0)], np.int64
)  # fmt: skip
"""What numbers 128 to 159 stand for."""


def entity_table() -> tuple[Table, Integers, Bytes]:
    """The names, with the semicolon where it must be there; where each begins in what they mean, as UTF-8; and that."""
    table = Table()
    table.intern_all([*html5])
    encoded = [meant.encode() for meant in html5.values()]
    return table, np.cumsum([0, *map(len, encoded)], dtype=np.int64), bytes_of(b"".join(encoded))


@kernel(f"int64(uint8[::1], int64, {TABLE}, int64[::1], uint8[::1], uint8[::1], int64[::1], int64[::1])")
def decode(
    data: Bytes,
    at: int,
    slots: Slots,
    hashes: Hashes,
    bounds: Integers,
    arena: Bytes,
    meant_bounds: Integers,
    meant: Bytes,
    written: Bytes,
    size: Integers,
    windows: Integers,
) -> int:
    """What the ``&`` at ``at`` begins, as UTF-8 into ``written`` with its ``size``; returns the place behind it.

    0 where it begins nothing and stands for itself.
    """
    end = len(data)
    stop = at + 1
    if stop < end and data[stop] == 0x23:  # a number
        stop += 1
        base = np.int64(10)
        if stop < end and data[stop] | 0x20 == 0x78:
            base = np.int64(16)
            stop += 1
        code = np.int64(0)
        begin = stop
        while stop < end:
            byte = np.int64(data[stop])
            if 0x30 <= byte <= 0x39:
                digit = byte - 0x30
            elif base == 16 and 0x61 <= byte | 0x20 <= 0x66:
                digit = (byte | 0x20) - 0x57
            else:
                break
            code = min(code * base + digit, np.int64(0x110000))
            stop += 1
        if stop == begin:
            return 0
        if stop < end and data[stop] == 0x3B:
            stop += 1
        if 0x80 <= code < 0xA0:
            code = windows[code - 0x80]
        if code == 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000:
            code = np.int64(0xFFFD)
        if code < 0x80:
            written[0] = code
            size[0] = 1
        elif code < 0x800:
            written[0], written[1] = 0xC0 | code >> 6, 0x80 | code & 0x3F
            size[0] = 2
        elif code < 0x10000:
            written[0], written[1], written[2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
            size[0] = 3
        else:
            written[0], written[1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F
            written[2], written[3] = 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
            size[0] = 4
        return stop
    hashed = BASIS
    while stop < end and stop - at <= _LONGEST:
        byte = np.int64(data[stop])
        if not (0x30 <= byte <= 0x39 or 0x61 <= byte | 0x20 <= 0x7A):
            break
        hashed = (hashed ^ np.uint64(byte)) * PRIME
        stop += 1
    if stop == at + 1:
        return 0
    if stop < end and data[stop] == 0x3B:
        hashed = (hashed ^ np.uint64(0x3B)) * PRIME
        stop += 1
    number = find(slots, hashes, bounds, arena, data, at + 1, stop, mixed(hashed))
    if number < 0:
        return 0
    first = meant_bounds[number]
    size[0] = meant_bounds[number + 1] - first
    for place in range(size[0]):
        written[place] = meant[first + place]
    return stop
