"""Which of the near-duplicates stay: from pairs, in order of precedence, one portion in memory at a time."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.config.corpus import Near
from tasks.near.candidates import Signatures, sharing

_BLOCK = 16
_PAIR = np.dtype([("late", "<i8"), ("early", "<i8"), ("equal", "<u2")])
_MEMBER = np.dtype([("late", "<i8"), ("group", "<u8")])
_PORTION = 1 << 20
_CACHED = 1 << 17


class Precedence:
    """``rank`` has the place in order of precedence of each position; negative for what takes no part."""

    def __init__(self, rank: NDArray[np.int64], near: Near, folder: Path) -> None:
        self._rank = rank
        self._near = near
        self._folder = folder

    def settle(
        self, pairs: Iterable[NDArray[np.void]], members: Iterable[NDArray[np.void]], signed: Signatures
    ) -> Iterator[tuple[int, int]]:
        """Places that go, ascending, and for each the place that it repeats: of those that stay and come before
        it the most alike, and of these the first.

        What went is compared with nothing, so a chain of small changes is cut and not removed to its last link.
        ``pairs`` and ``members`` are of the types ``PAIR`` and ``MEMBER``; pairs may come twice.
        """
        blocks = self._spread(pairs, members)
        position = np.empty(int(self._rank.max(initial=-1)) + 1, np.int64)
        taking = np.flatnonzero(self._rank >= 0)
        position[self._rank[taking]] = taking
        gone = bytearray(len(position))
        wide = _Wide(self._folder / "staying", self._near)
        for block in sorted(blocks):
            found = _by_place(self._read(block, "pairs", _PAIR))
            groups = _groups(self._read(block, "members", _MEMBER))
            wide.turn(np.array([*groups], np.int64), position, signed)
            for place in sorted({*found, *groups}) if groups else found:
                best = next(((equal, early) for equal, early in found.get(place, ()) if not gone[early]), None)
                if place in groups:
                    best = wide.better(best, place, groups[place])
                if best is not None:
                    gone[place] = True
                    yield place, best[1]
                elif place in groups:
                    wide.stay(place, groups[place])
        wide.close()

    def _spread(self, pairs: Iterable[NDArray[np.void]], members: Iterable[NDArray[np.void]]) -> set[int]:
        blocks: set[int] = set()
        for some in pairs:
            one, other = self._rank[some["low"]], self._rank[some["high"]]
            both = (one >= 0) & (other >= 0)
            rows = np.empty(int(both.sum()), _PAIR)
            rows["late"], rows["early"] = np.maximum(one, other)[both], np.minimum(one, other)[both]
            rows["equal"] = some["equal"][both]
            blocks |= self._append(rows, "pairs")
        for some in members:
            place = self._rank[some["position"]]
            alive = place >= 0
            rows = np.empty(int(alive.sum()), _MEMBER)
            rows["late"] = place[alive]
            rows["group"] = (some["band"][alive].astype(np.uint64) << np.uint64(32)) | some["print"][alive]
            blocks |= self._append(rows, "members")
        return blocks

    def _append(self, rows: NDArray[np.void], kind: str) -> set[int]:
        rows = rows[np.argsort(rows["late"], kind="stable")]
        blocks = set()
        for part in np.split(rows, np.flatnonzero(np.diff(rows["late"] >> _BLOCK)) + 1):
            if len(part):
                block = int(part["late"][0]) >> _BLOCK
                blocks.add(block)
                with (self._folder / f"{block}.{kind}").open("ab") as out:
                    part.tofile(out)
        return blocks

    def _read(self, block: int, kind: str, dtype: np.dtype[np.void]) -> NDArray[np.void]:
        path = self._folder / f"{block}.{kind}"
        if not path.exists():
            return np.empty(0, dtype)
        rows = np.fromfile(path, dtype)
        path.unlink()
        return rows


class _Wide:
    """Who stays of the wide groups. Signatures of the first ``_CACHED`` of them are in memory, the rest in a file."""

    def __init__(self, path: Path, near: Near) -> None:
        self._near = near
        self._file = path.open("w+b")
        self._staying: dict[int, list[int]] = defaultdict(list)
        self._places: list[int] = []
        self._cache = np.empty((256, near.permutations), "<u4")
        self._row: dict[int, int] = {}
        self._rows = np.empty((0, near.permutations), np.uint32)

    def turn(self, places: NDArray[np.int64], position: NDArray[np.int64], signed: Signatures) -> None:
        """Have the signatures of the members of one block at hand."""
        where = position[places]
        order = np.argsort(where)
        self._rows = signed.rows(where[order])
        self._row = {place: row for row, place in enumerate(places[order].tolist())}

    def better(self, best: tuple[int, int] | None, place: int, groups: list[int]) -> tuple[int, int] | None:
        """The most alike, and first, of ``best`` and those who stay of the groups."""
        mine = self._rows[self._row[place]]
        # They came in order of their places, so the first of the most alike is the first place, too.
        slots = sorted({slot for group in groups for slot in self._staying[group]})
        for start in range(0, len(slots), 4096):
            some = slots[start : start + 4096]
            equal = self._signatures(some) == mine
            count = equal.sum(axis=1)
            like = np.flatnonzero(count / self._near.permutations >= self._near.threshold)
            for row in like[sharing(equal[like], self._near)].tolist() if len(like) else ():
                if best is None or (-int(count[row]), self._places[some[row]]) < (-best[0], best[1]):
                    best = int(count[row]), self._places[some[row]]
        return best

    def stay(self, place: int, groups: list[int]) -> None:
        """Let ``place`` be compared with whoever comes after it."""
        slot, row = len(self._places), self._rows[self._row[place]]
        if slot < _CACHED:
            if slot == len(self._cache):
                self._cache = np.concatenate([self._cache, np.empty_like(self._cache)])
            self._cache[slot] = row
        else:
            os.pwrite(self._file.fileno(), row.astype("<u4").tobytes(), slot * self._cache.itemsize * len(row))
        self._places.append(place)
        for group in groups:
            self._staying[group].append(slot)

    def close(self) -> None:
        self._file.close()

    def _signatures(self, slots: list[int]) -> NDArray[np.uint32]:
        near = bisect_left(slots, _CACHED)
        found = self._cache[slots[:near]]
        if near == len(slots):
            return found
        size = self._cache.itemsize * self._near.permutations
        stored = b"".join(os.pread(self._file.fileno(), size, slot * size) for slot in slots[near:])
        return np.concatenate([found, np.frombuffer(stored, "<u4").reshape(-1, self._near.permutations)])


def _by_place(pairs: NDArray[np.void]) -> dict[int, list[tuple[int, int]]]:
    """For each place, ascending, the places before it and how alike they are: the most alike first, then the first."""
    order = np.lexsort((pairs["early"], -pairs["equal"].astype(np.int64), pairs["late"]))
    found: dict[int, list[tuple[int, int]]] = {}
    for late, equal, early in zip(*(pairs[name][order].tolist() for name in ("late", "equal", "early")), strict=True):
        found.setdefault(late, []).append((equal, early))
    return found


def _groups(members: NDArray[np.void]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for late, group in np.unique(members).tolist():
        found.setdefault(late, []).append(group)
    return found


def portions(path: Path, dtype: np.dtype[np.void]) -> Iterator[NDArray[np.void]]:
    """A file's records, so many at a time."""
    with path.open("rb") as file:
        while len(rows := np.fromfile(file, dtype, _PORTION)):
            yield rows
