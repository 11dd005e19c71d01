"""Who shares a band with whom: pairs of a small group, members of a wide one; each pair once, and verified."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.config.clean import Near
from tasks.near.runs import HALF, LOW, Entries
from tasks.text.minhash import bands

Positions = NDArray[np.int64]
WIDE = 32
"""A group of more members is kept as such: its pairs would grow with the square of them."""
PAIR = np.dtype([("low", "<u4"), ("high", "<u4"), ("equal", "<u2")])
"""Two positions, and how many places of their signatures are equal."""
MEMBER = np.dtype([("band", "<u2"), ("print", "<u4"), ("position", "<u4")])
"""A position in a wide group."""
_BLOCK = np.uint64(16)
_BUFFERED = 1 << 21
_CHUNK = 1 << 14
_PORTION = 1 << 20


class Signatures(Protocol):
    """Signatures by position."""

    def rows(self, positions: Positions) -> NDArray[np.uint32]:
        """Those of ``positions``, which ascend."""


class FileSignatures:
    """Signatures in a file of this machine, one after another."""

    def __init__(self, path: Path, count: int, near: Near) -> None:
        self._path = path
        self._shape = (count, near.permutations)

    def rows(self, positions: Positions) -> NDArray[np.uint32]:
        """Those of ``positions``; the file is mapped for no longer than that takes."""
        return np.asarray(np.memmap(self._path, "<u4", "r", shape=self._shape)[positions])


class Candidates:
    """Pairs to be verified; they wait on disk, in files by their lower position."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[Entries] = []
        self._count = 0

    def add(self, low: Entries, high: Entries) -> None:
        """Take pairs of positions, the lower first."""
        self._waiting.append((low << HALF) | high)
        self._count += len(low)
        if self._count >= _BUFFERED:
            self._spill()

    def blocks(self) -> Iterator[Entries]:
        """All pairs, each once and in order, in portions; the lower position is in the high half."""
        self._spill()
        for path in sorted(self._folder.glob("*.candidates"), key=lambda path: int(path.stem)):
            yield np.unique(np.fromfile(path, np.uint64))
            path.unlink()

    def _spill(self) -> None:
        if not self._waiting:
            return
        pairs = np.unique(np.concatenate(self._waiting))
        self._waiting, self._count = [], 0
        block = pairs >> (HALF + _BLOCK)
        for part in np.split(pairs, np.flatnonzero(np.diff(block)) + 1):
            if len(part):
                with (self._folder / f"{int(part[0] >> (HALF + _BLOCK))}.candidates").open("ab") as out:
                    part.tofile(out)


def gather(band: int, entries: Entries, new: int, candidates: Candidates) -> NDArray[np.void]:
    """Sort the groups of a band's sorted ``entries`` with a position of ``new`` or more: pairs of small groups go to
    ``candidates``, members of wide ones are returned. What older positions share is known already."""
    high = entries >> HALF
    begins = np.flatnonzero(np.append(True, high[1:] != high[:-1]))
    size = np.diff(np.append(begins, len(entries)))
    old = np.add.reduceat((entries & LOW) < np.uint64(new), begins, dtype=np.int64) if len(entries) else size
    small = np.repeat((size > 1) & (size <= WIDE) & (old < size), size)
    print_, position = high[small], entries[small] & LOW
    for distance in range(1, WIDE):
        same = print_[distance:] == print_[:-distance]
        if not same.any():
            break
        same &= position[distance:] >= np.uint64(new)
        candidates.add(position[:-distance][same], position[distance:][same])
    # A group that was wide before has its older members on record.
    wide = np.repeat(size > WIDE, size) & (np.repeat(old <= WIDE, size) | ((entries & LOW) >= np.uint64(new)))
    wide &= np.repeat(old < size, size)
    members = np.empty(int(wide.sum()), MEMBER)
    members["band"], members["print"], members["position"] = band, high[wide], entries[wide] & LOW
    return members


def verified(candidates: Candidates, signed: Signatures, near: Near) -> Iterator[NDArray[np.void]]:
    """The candidates that are similar enough, and truly share a band."""
    for block in candidates.blocks():
        for start in range(0, len(block), _CHUNK):
            chunk = block[start : start + _CHUNK]
            low, high = (chunk >> HALF).astype(np.int64), (chunk & LOW).astype(np.int64)
            needed, place = np.unique(np.concatenate((low, high)), return_inverse=True)
            rows = signed.rows(needed)
            equal = rows[place[: len(low)]] == rows[place[len(low) :]]
            count = equal.sum(axis=1)
            found = (count / near.permutations >= near.threshold) & sharing(equal, near)
            pairs = np.empty(int(found.sum()), PAIR)
            pairs["low"], pairs["high"], pairs["equal"] = low[found], high[found], count[found]
            yield pairs


def sharing(equal: NDArray[np.bool_], near: Near) -> NDArray[np.bool_]:
    """Of rows of equal places, shape ``(rows, permutations)``, which have a whole band of them."""
    count, width = bands(near)
    shared: NDArray[np.bool_] = equal[:, : count * width].reshape(-1, count, width).all(axis=2).max(axis=1)
    return shared


def portions(paths: Iterable[Path], dtype: np.dtype[np.void]) -> Iterator[NDArray[np.void]]:
    """The records of files, so many at a time; small files are read together."""
    waiting: list[NDArray[np.void]] = []
    for path in paths:
        with path.open("rb") as file:
            while len(rows := np.fromfile(file, dtype, _PORTION - sum(map(len, waiting)))):
                waiting.append(rows)
                if sum(map(len, waiting)) == _PORTION:
                    yield np.concatenate(waiting)
                    waiting = []
    if waiting:
        yield np.concatenate(waiting)


def joined(paths: Sequence[Path], target: Path) -> None:
    """The records of several files in one, ``target``."""
    with target.open("wb") as out:
        for path in paths:
            with path.open("rb") as file:
                shutil.copyfileobj(file, out)
