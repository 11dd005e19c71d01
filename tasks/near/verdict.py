"""Who stayed at the last snapshot, kept beside the index: a cache, from which the next one decides what changed.

It says which documents it is about (files of signatures, and rows of them) and in which order, so whatever index reads
it, it holds for these and nothing else. One object, written whole over the one before: of two snapshots at once the
later counts, and either is right. Lost or damaged, everything is decided anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.errors import NotFound
from tasks.near.candidates import Positions
from tasks.near.signed import Signed, near_folder
from tasks.step import Context

RULE = 1
"""Raised as the rule changes by which it is decided: what another rule decided says nothing."""
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Verdict:
    """The documents with a candidate, in order of precedence."""

    position: Positions
    stays: Positions
    """The position that each repeats; its own if it stays; -1 for one that is not in the index."""

    def __len__(self) -> int:
        return len(self.position)

    def places(self, positions: Positions, count: int) -> NDArray[np.int32]:
        """Where each of ``positions``, of ``count`` that there are, stands in this order; -1 where it does not."""
        place = np.full(count, -1, np.int32)
        place[self.position] = np.arange(len(self))
        return place[positions]


NOTHING = Verdict(np.empty(0, np.int64), np.empty(0, np.int64))


class Kept:
    """The verdict on the store, in the positions of an index of ``partitions``."""

    def __init__(self, context: Context, partitions: list[Signed], scratch: Path) -> None:
        self._context = context
        self._partitions = partitions
        self._path = scratch / "verdict"
        self._key = near_folder(context.corpus, f"verdict-{RULE}")
        self._digest = b""

    def read(self) -> Verdict:
        """What was decided last; nothing where there is none that can be trusted."""
        try:
            self._context.store.download(self._key, self._path)
        except NotFound:
            return NOTHING
        with self._path.open("rb") as file:
            digest = file.read(_DIGEST)
            if hashlib.file_digest(file, "sha256").digest() != digest:
                url = self._context.store.url_of(self._key)
                self._context.log.warning("who stayed is damaged and is decided anew", file=url)
                return NOTHING
            file.seek(_DIGEST)
            about = json.loads(file.readline())
            rows = np.fromfile(file, "<u4").astype(np.int64).reshape(2, -1)
        self._digest = digest
        position, stays = self._placed(rows[0], about), self._placed(rows[1], about)
        return Verdict(position[position >= 0], stays[position >= 0])

    def write(self, verdict: Verdict) -> None:
        """Keep a verdict, unless it is the one that was read."""
        about = [[each.file.key, each.file.sha256, each.file.rows] for each in self._partitions]
        with self._path.open("w+b") as file:
            file.write(bytes(_DIGEST) + f"{json.dumps(about)}\n".encode())
            for column in (verdict.position, verdict.stays):
                column.astype("<u4").tofile(file)
            file.seek(_DIGEST)
            digest = hashlib.file_digest(file, "sha256").digest()
            file.seek(0)
            file.write(digest)
        if digest != self._digest:
            self._context.store.upload(self._path, self._key)

    def _placed(self, positions: Positions, about: list[tuple[str, str, int]]) -> Positions:
        """Positions in the numbering of ``about`` as those of the index; -1 for what it has not."""
        here = {(each.file.key, each.file.sha256): each.first for each in self._partitions}
        first = np.cumsum([0, *(rows for _, _, rows in about)])[:-1]
        target = np.array([here.get((key, digest), -1) for key, digest, _ in about], np.int64)
        of = np.searchsorted(first, positions, side="right") - 1
        return np.where(target[of] >= 0, positions - first[of] + target[of], -1)
