"""An index of near-duplicates with its days and its last verdict, on a store of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.catalog import FileEntry
from tasks.config.clean import Near
from tasks.near import candidates, index, runs
from tasks.near.index import Index
from tasks.near.precedence import nearly_repeated
from tasks.near.signed import near_folder
from tasks.step import Context
from tasks.store.local import LocalStore

NEAR = Near(threshold=0.5, permutations=16)


def little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit so low that a few documents meet it."""
    monkeypatch.setattr(candidates, "WIDE", 3)
    monkeypatch.setattr(candidates, "_BUFFERED", 5)
    monkeypatch.setattr(candidates, "_CHUNK", 3)
    monkeypatch.setattr(candidates, "_BLOCK", np.uint64(2))
    monkeypatch.setattr(candidates, "_PORTION", 2)
    monkeypatch.setattr("tasks.near.precedence._BATCH", 2)
    monkeypatch.setattr("tasks.near.held._CACHED", 2 * NEAR.permutations)
    monkeypatch.setattr("tasks.near.held._READ", 3)
    monkeypatch.setattr("tasks.near.wide._COMPARED", 2)
    monkeypatch.setattr(runs, "SLICE_ENTRIES", 7)
    monkeypatch.setattr(index, "FAN", 2)
    monkeypatch.setattr(index, "_ROWS", 3)


Signed = NDArray[np.uint32]
Day = tuple[FileEntry, Signed]


@st.composite
def partitions(draw: st.DrawFn) -> list[Signed]:
    """Signatures of a few partitions: copies of a few bases with places changed, so that many share a band."""
    bases = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    base = rng.integers(0, 1 << 32, (bases, NEAR.permutations), dtype=np.uint32)
    made = []
    for rows in draw(st.lists(st.integers(1, 6), min_size=3, max_size=6)):
        signed = base[rng.integers(0, bases, rows)].copy()
        changed = rng.random(signed.shape) < rng.random((rows, 1)) * draw(st.sampled_from([0.0, 0.2, 0.6]))
        signed[changed] = rng.integers(0, 3, int(changed.sum()), dtype=np.uint32)
        made.append(signed)
    return made


class Remote(LocalStore):
    """A store that has no file of this machine, as S3 has none; counts the bytes that it sends."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sent = 0

    def local(self, key: str) -> Path | None:
        return None

    def read_at(self, key: str, offset: int, size: int) -> bytes:
        self.sent += size
        return super().read_at(key, offset, size)


@dataclass
class Shelf:
    """An index on a store of its own, and signature files beside it."""

    context: Context
    folder: Path
    turn: int = 0
    decided: int = 0

    def store(self, day: int, signed: Signed) -> FileEntry:
        path = self.folder / "signatures.u32"
        signed.astype("<u4").tofile(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        folder = near_folder(self.context.corpus, f"{day}")
        return self.context.catalog.add_file(folder, "signatures", path, digest, rows=len(signed))

    def scratch(self) -> Path:
        self.turn += 1
        (scratch := self.folder / f"{self.turn}").mkdir()
        return scratch

    def open(self, days: Sequence[Day]) -> Snapshot:
        """A snapshot of ``days`` in the making: the index is there and grown."""
        scratch, files = self.scratch(), [entry for entry, _ in days]
        near_index = Index.open(self.context, files, scratch)
        near_index.grow(files)
        return Snapshot(self, days, near_index, scratch)

    def settle(self, days: Sequence[Day], order: NDArray[np.int64]) -> list[tuple[int, int]]:
        """What goes of ``days``, whose rows have the given order of precedence (those left out take no part)."""
        return self.open(days).settle(order)

    def verdict(self) -> Path:
        """The last verdict's file."""
        (path,) = self.folder.glob("store/near/*/*/verdict*")
        return path


@dataclass
class Snapshot:
    shelf: Shelf
    days: Sequence[Day]
    index: Index
    scratch: Path

    def settle(self, order: NDArray[np.int64]) -> list[tuple[int, int]]:
        place = np.full(sum(len(signed) for _, signed in self.days), -1, np.int64)
        place[order] = np.arange(len(order))
        files = [entry for entry, _ in self.days]
        mine, stays, decided = nearly_repeated(self.shelf.context, self.index, files, place, self.scratch)
        self.shelf.decided = decided
        return sorted(zip(mine.tolist(), stays.tolist(), strict=True))


def cluster(number: int, rows: int) -> Signed:
    """Equal signatures."""
    return np.full((rows, NEAR.permutations), number, np.uint32)
