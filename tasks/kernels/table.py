"""Strings of bytes to consecutive numbers: a hash table in four arrays.

Open addressing with linear probing (Knuth, "The Art of Computer Programming", volume 3, section 6.4, algorithm L);
bytes are compared, so different strings never share a number. ``slots`` holds a number or -1, ``hashes`` one hash each,
and string ``i`` is ``arena[bounds[i]:bounds[i + 1]]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.kernels.compiled import kernel, part

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]
Slots = NDArray[np.int32]
Hashes = NDArray[np.uint64]

TABLE = "int32[::1], uint64[::1], int64[::1], uint8[::1]"
"""The types of a table's arrays, for signatures."""
BASIS, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


@part
def mixed(hashed: Any) -> Any:
    """With its high half mixed into the low one, that slots are counted by."""
    return hashed ^ (hashed >> np.uint64(32))


@part
def hash_of(data: Bytes, begin: int, end: int) -> Any:
    """FNV-1a of 64 bits (Fowler, Noll, Vo)."""
    hashed = BASIS
    for at in range(begin, end):
        hashed = (hashed ^ np.uint64(data[at])) * PRIME
    return mixed(hashed)


@part
def find(
    slots: Slots, hashes: Hashes, bounds: Integers, arena: Bytes, data: Bytes, begin: int, end: int, hashed: Any
) -> Any:
    """The number of ``data[begin:end]``, or ``-1 - slot`` of the slot that waits for it."""
    mask = len(slots) - 1
    slot = np.int64(hashed) & mask
    found: Any = np.int64(-1)
    while found < 0 and slots[slot] >= 0:
        number = np.int64(slots[slot])
        first = bounds[number]
        if hashes[number] == hashed and bounds[number + 1] - first == end - begin:
            at = begin
            while at < end and arena[first + at - begin] == data[at]:
                at += 1
            if at == end:
                found = number
        slot = (slot + 1) & mask
    return found if found >= 0 else -1 - slot


@part
def enter(
    slots: Slots,
    hashes: Hashes,
    bounds: Integers,
    arena: Bytes,
    size: int,
    data: Bytes,
    begin: int,
    end: int,
    hashed: Any,
) -> Any:
    """The number of ``data[begin:end]``: ``size`` where it was added as a new one. There must be room for it."""
    number = find(slots, hashes, bounds, arena, data, begin, end, hashed)
    if number < 0:
        slots[-1 - number] = size
        hashes[size] = hashed
        first = bounds[size]
        for at in range(begin, end):
            arena[first + at - begin] = data[at]
        bounds[size + 1] = first + end - begin
        number = size
    return number


@kernel(f"int64({TABLE}, int64, uint8[::1], int64[::1], int64[::1], int64[::1])")
def intern(
    slots: Slots,
    hashes: Hashes,
    bounds: Integers,
    arena: Bytes,
    size: int,
    data: Bytes,
    begins: Integers,
    ends: Integers,
    numbers: Integers,
) -> int:
    """Number every ``data[begins[i]:ends[i]]`` into ``numbers``; returns how many strings there are now."""
    for place in range(len(begins)):
        begin, end = begins[place], ends[place]
        number = enter(slots, hashes, bounds, arena, size, data, begin, end, hash_of(data, begin, end))
        size += number == size
        numbers[place] = number
    return size


@kernel(f"int64({TABLE}, uint8[::1])")
def find_one(slots: Slots, hashes: Hashes, bounds: Integers, arena: Bytes, data: Bytes) -> int:
    """The number of ``data``, negative when it has none."""
    number: int = find(slots, hashes, bounds, arena, data, 0, len(data), hash_of(data, 0, len(data)))
    return number


@kernel("void(int32[::1], uint64[::1], int64)")
def fill_slots(slots: Slots, hashes: Hashes, size: int) -> None:
    """Put all strings into slots that are new and empty."""
    mask = len(slots) - 1
    for number in range(size):
        slot = np.int64(hashes[number]) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number


class Table:
    """The arrays of one table, grown before they are full."""

    def __init__(self) -> None:
        self.size = 0
        self.slots = np.full(1 << 12, -1, np.int32)
        self.hashes = np.empty(1 << 10, np.uint64)
        self.bounds = np.zeros((1 << 10) + 1, np.int64)
        self.arena = np.empty(1 << 14, np.uint8)

    @property
    def arrays(self) -> tuple[Slots, Hashes, Integers, Bytes]:
        """What kernels take."""
        return self.slots, self.hashes, self.bounds, self.arena

    def reserve(self, strings: int, length: int) -> None:
        """Make room for so many more strings, of so many bytes together."""
        wanted = self.size + strings
        slots, hashes, bounds, arena = self.arrays
        if wanted > len(hashes):
            room = max(wanted, 2 * len(hashes))
            hashes, bounds = grown(hashes, room), grown(bounds, room + 1)
        if bounds[self.size] + length > len(arena):
            arena = grown(arena, int(bounds[self.size]) + length)
        if 2 * len(hashes) > len(slots):
            slots = np.full(1 << (2 * len(hashes) - 1).bit_length(), -1, np.int32)
            fill_slots(slots, hashes, self.size)
        # All or nothing: there may be no memory for one of them.
        self.slots, self.hashes, self.bounds, self.arena = slots, hashes, bounds, arena

    def intern(self, data: Bytes, begins: Integers, ends: Integers) -> Integers:
        """The number of each ``data[begins[i]:ends[i]]``; a new string gets the next one."""
        self.reserve(len(begins), len(data))
        numbers = np.empty(len(begins), np.int64)
        self.size = intern(*self.arrays, self.size, data, begins, ends, numbers)
        return numbers

    def intern_all(self, strings: list[str]) -> Integers:
        """The same of strings."""
        encoded = [string.encode("utf-8", "surrogatepass") for string in strings]
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), dtype=np.int64)
        begins = np.concatenate((np.zeros(1, np.int64), ends))[:-1]
        return self.intern(bytes_of(b"".join(encoded)), begins, ends)

    def find(self, string: str) -> int:
        """The number of a string, negative when it has none."""
        data = bytes_of(string.encode("utf-8", "surrogatepass"))
        return int(find_one(*self.arrays, data))

    def string(self, number: int) -> str:
        """The string with this number."""
        return self.arena[self.bounds[number] : self.bounds[number + 1]].tobytes().decode("utf-8", "surrogatepass")


def bytes_of(data: bytes) -> Bytes:
    """An array of bytes as kernels take it: of its own memory."""
    return np.frombuffer(bytearray(data), np.uint8)


def grown(values: NDArray[Any], least: int) -> NDArray[Any]:
    """A copy with room for ``least`` values, and for as many again as there were; what is new is not set."""
    larger = np.empty(max(least, 2 * len(values)), values.dtype)
    larger[: len(values)] = values
    return larger
