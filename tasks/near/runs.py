"""Sorted runs of band fingerprints: what finds the documents that share a band with a given one.

A *position* numbers a document (uint32). An *entry* is one uint64: 32 bits of a band's hash, then the position. A run
is a file of entries, band after band, each band sorted. Equal fingerprints of unequal bands are rare, and are weeded
out with the signatures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.config.clean import Near
from tasks.text.minhash import band_key, bands

Entries = NDArray[np.uint64]
SLICE_ENTRIES = 1 << 22
"""So many entries are sorted at once."""
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
_MIX = np.uint64(0x9E3779B97F4A7C15)


def prints(signed: NDArray[np.uint32], near: Near) -> Iterator[Entries]:
    """For each band the fingerprints of all rows, in the high half of an entry."""
    for band in range(bands(near)[0]):
        key = band_key(signed, near, band)
        yield ((key ^ (key >> HALF)) * _MIX) & ~LOW


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run."""

    path: Path
    rows: int

    def band(self, band: int) -> Entries:
        """The entries of a band, mapped from the file."""
        return np.memmap(self.path, np.uint64, "r", offset=band * self.rows * 8, shape=(self.rows,))

    def lookup(self, band: int, wanted: Entries) -> Entries:
        """The entries of a band whose fingerprint is one of ``wanted`` (high halves, sorted, each once)."""
        here = self.band(band)
        first, last = np.searchsorted(here, wanted), np.searchsorted(here, wanted | LOW, side="right")
        count = last - first
        # Every index of every range, without a loop over the ranges.
        index = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
        return np.asarray(here[index])


class Sorter:
    """Takes signatures in order of position and gives their entries back sorted; they wait on disk."""

    def __init__(self, folder: Path, rows: int, near: Near) -> None:
        self._folder = folder
        self._near = near
        self._bands = bands(near)[0]
        self._slices = max(1, math.ceil(rows / SLICE_ENTRIES))

    def add(self, signed: NDArray[np.uint32], position: int) -> None:
        """Take the signatures of ``position`` and those after it."""
        places = np.arange(position, position + len(signed), dtype=np.uint64)
        for band, high in enumerate(prints(signed, self._near)):
            entries = high | places
            part = _slice_of(entries, self._slices)
            for number in range(self._slices):
                with self._path(band, number).open("ab") as out:
                    (entries if self._slices == 1 else entries[part == number]).tofile(out)

    def slices(self) -> Iterator[tuple[int, Entries]]:
        """Band and sorted entries, slice by slice in order; each is gone from disk once it was given."""
        for band in range(self._bands):
            for number in range(self._slices):
                path = self._path(band, number)
                if path.exists():
                    entries = np.fromfile(path, np.uint64)
                    path.unlink()
                    entries.sort()
                    if len(entries):
                        yield band, entries

    def _path(self, band: int, number: int) -> Path:
        return self._folder / f"{band}-{number}.entries"


def merged(runs: Sequence[Run], target: Path, near: Near) -> Run:
    """Several runs as one, in ``target``."""
    rows = sum(run.rows for run in runs)
    slices = max(1, math.ceil(rows / SLICE_ENTRIES))
    bounds = np.array([((1 << 32) * number // slices) << 32 for number in range(1, slices)], np.uint64)
    with target.open("wb") as out:
        for band in range(bands(near)[0]):
            cuts = [[0, *np.searchsorted(run.band(band), bounds).tolist(), run.rows] for run in runs]
            for number in range(slices):
                parts = [
                    np.asarray(run.band(band)[cut[number] : cut[number + 1]])
                    for run, cut in zip(runs, cuts, strict=True)
                ]
                np.sort(np.concatenate(parts)).tofile(out)
    return Run(target, rows)


def _slice_of(entries: Entries, slices: int) -> NDArray[np.uint64]:
    return ((entries >> HALF) * np.uint64(slices)) >> HALF
