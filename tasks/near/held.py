"""Signatures that are compared again and again: each is read from the store once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tasks.config.clean import Near
from tasks.near.candidates import Positions, Signatures

_CACHED = 1 << 24
"""So many numbers of signatures: 64 MiB, however many a signature has."""
_READ = 1 << 14


class Held:
    """Signatures of ``position``, by their place in it. The first are in memory, the rest in a file."""

    def __init__(self, position: Positions, signed: Signatures, path: Path, near: Near) -> None:
        self._position = position
        self._signed = signed
        self._file = path.open("w+b")
        self._width = near.permutations
        self._most = _CACHED // near.permutations
        self._slot = np.full(len(position), -1, np.int64)
        self._count = 0
        self._cache = np.empty((min(256, self._most), self._width), "<u4")

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Those of ``places``, each of which is there once."""
        self.need(places)
        slots = self._slot[places]
        far = slots >= self._most
        if not far.any():
            return self._cache[slots]
        found = np.empty((len(slots), self._width), "<u4")
        found[~far] = self._cache[slots[~far]]
        size = 4 * self._width
        stored = b"".join(
            os.pread(self._file.fileno(), size, (slot - self._most) * size) for slot in slots[far].tolist()
        )
        found[far] = np.frombuffer(stored, "<u4").reshape(-1, self._width)
        return found

    def need(self, places: NDArray[np.int64]) -> None:
        """Have the signatures of ``places`` read, many at once."""
        missing = places[self._slot[places] < 0]
        missing = missing[np.argsort(self._position[missing])]
        for start in range(0, len(missing), _READ):
            some = missing[start : start + _READ]
            self._keep(self._signed.rows(self._position[some]))
            self._slot[some] = np.arange(self._count - len(some), self._count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _keep(self, rows: NDArray[np.uint32]) -> None:
        end = min(self._count + len(rows), self._most)
        if end > len(self._cache):
            grown = np.empty((min(max(end, 2 * len(self._cache)), self._most), self._width), "<u4")
            grown[: len(self._cache)] = self._cache
            self._cache = grown
        here = max(end - self._count, 0)
        self._cache[self._count : self._count + here] = rows[:here]
        if here < len(rows):
            self._file.seek(0, os.SEEK_END)
            rows[here:].astype("<u4").tofile(self._file)
            self._file.flush()
        self._count += len(rows)
