"""Which of the near-duplicates stay: decided from the last verdict, where a change reaches; nothing else is touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.catalog import FileEntry
from tasks.config.clean import Near
from tasks.near.candidates import MEMBER, Positions
from tasks.near.components import Alike, connected
from tasks.near.deciding import EARLIER, UNKNOWN, Deciding
from tasks.near.held import Held
from tasks.near.index import Index
from tasks.near.signed import settings
from tasks.near.verdict import Kept, Verdict
from tasks.near.wide import Wide
from tasks.step import Context

Places = NDArray[np.int32]
_BATCH = 1 << 16
"""Components of so many documents are decided at once; a larger one is decided alone."""


def nearly_repeated(
    context: Context, index: Index, files: Sequence[FileEntry], place: Positions, scratch: Path
) -> tuple[Positions, Positions, int]:
    """Of the rows of ``files``, whose ``place`` in order of precedence is given (negative: no part in it): the places
    that go, what each of them nearly repeats, and how many documents were decided about for that."""
    rank = index.ranks(files, place)
    kept = Kept(context, index.partitions, scratch)
    precedence = Precedence(rank, settings(context.corpus), scratch)
    verdict = precedence.settle(index, kept.read())
    kept.write(verdict)
    goes = verdict.position != verdict.stays
    return rank[verdict.position[goes]], rank[verdict.stays[goes]], precedence.decided


class Precedence:
    """``rank`` has the place in order of precedence of each position; negative for what takes no part."""

    def __init__(self, rank: Positions, near: Near, folder: Path) -> None:
        self._rank = rank
        self._near = near
        self._folder = folder
        self.decided = 0
        """How many documents were decided about."""

    def settle(self, alike: Alike, before: Verdict) -> Verdict:
        """What each document with a candidate repeats: of those that stay and come before it the most alike, and of
        these the first. What went is compared with nothing, so a chain of small changes is cut and not removed to its
        last link.

        The result is the same whatever was decided ``before``; the cost is that of the components that changed.
        """
        position, component = connected(alike, self._rank >= 0)
        by = np.argsort(self._rank[position])
        by = by[np.argsort(component[by], kind="stable")]
        # Component after component, each in order of precedence.
        position, component = position[by], component[by]
        del by
        begins = np.flatnonzero(np.append(True, component[1:] != component[:-1])[: len(component)])
        size = np.diff(np.append(begins, len(component)))
        del component
        stays = self._standing(position, size, before)
        changed = np.logical_or.reduceat(stays == UNKNOWN, begins) if len(begins) else np.empty(0, np.bool_)
        again = np.repeat(changed, size)
        if changed.any():
            stays[again] = self._decided(position[again], stays[again], size[changed], alike)
        order = np.argsort(self._rank[position])
        return Verdict(position[order], stays[order])

    def _standing(self, position: Positions, size: Positions, before: Verdict) -> Positions:
        """What each position, in components of ``size``, repeats if it stands as ``before``; UNKNOWN for those that
        are new, or come in another order than before within their component, or repeat one such, or one that is no
        more."""
        stays, known = np.full(len(position), UNKNOWN), before.places(position, len(self._rank))
        stays[known >= 0] = before.stays[known[known >= 0]]
        order = np.repeat(np.arange(len(size)) * (len(before) + 1), size) + known + 1
        # The last one is that of documents which are no more.
        firm = np.zeros(len(self._rank) + 1, np.bool_)
        firm[position[(known >= 0) & (order == np.maximum.accumulate(order))]] = True
        stays[~(firm[position] & firm[stays])] = UNKNOWN
        return stays

    def _decided(self, position: Positions, stays: Positions, size: Positions, alike: Alike) -> Positions:
        """``stays`` with those decided about that are UNKNOWN, and those whom that reaches; batch after batch."""
        place = np.full(len(self._rank), -1, np.int32)
        place[position] = np.arange(len(position))
        batch = np.repeat(((np.cumsum(size) - size) // _BATCH).astype(np.int32), size)
        self._spread(alike, place, batch)
        numbers, firsts = np.unique(batch, return_index=True)
        lasts = [*firsts.tolist()[1:], len(batch)]
        for number, first, last in zip(numbers.tolist(), firsts.tolist(), lasts, strict=True):
            span = slice(first, last)
            mine, before = position[span], stays[span]
            pairs, members = self._read(number, "pairs", EARLIER), self._read(number, "members", MEMBER)
            for name in ("late", "early"):
                pairs[name] -= first
            members["position"] -= first
            deciding = Deciding(np.where(before == UNKNOWN, UNKNOWN, place[before] - first), pairs)
            if len(members):
                with Held(mine, alike.signatures, self._folder / "held", self._near) as held:
                    self.decided += deciding.decide(Wide(members, deciding.staying, held, self._near))
            else:
                self.decided += deciding.decide(None)
            stays[span] = mine[deciding.stays]
        return stays

    def _spread(self, alike: Alike, place: Places, batch: Places) -> None:
        """Pairs and members as places, in files by their batch."""
        for some in alike.pairs():
            one, other = place[some["low"]], place[some["high"]]
            both = (one >= 0) & (other >= 0)
            pairs = np.empty(int(both.sum()), EARLIER)
            pairs["late"], pairs["early"] = np.maximum(one, other)[both], np.minimum(one, other)[both]
            pairs["equal"] = some["equal"][both]
            self._append(pairs, batch[pairs["late"]], "pairs")
        for some in alike.members():
            members = some[place[some["position"]] >= 0]
            members["position"] = place[members["position"]]
            self._append(members, batch[members["position"]], "members")

    def _append(self, rows: NDArray[np.void], batch: Places, kind: str) -> None:
        order = np.argsort(batch, kind="stable")
        rows, batch = rows[order], batch[order]
        for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(batch)) + 1):
            if len(part):
                with (self._folder / f"{batch[part[0]]}.{kind}").open("ab") as out:
                    rows[part].tofile(out)

    def _read(self, batch: int, kind: str, dtype: np.dtype[np.void]) -> NDArray[np.void]:
        path = self._folder / f"{batch}.{kind}"
        if not path.exists():
            return np.empty(0, dtype)
        rows = np.fromfile(path, dtype)
        path.unlink()
        return rows
