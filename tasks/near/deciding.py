"""Who stays of some components: the places that a change reaches are decided about, the rest stand as before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.near.wide import Places, Wide

EARLIER = np.dtype([("late", "<u4"), ("early", "<u4"), ("equal", "<u2")])
"""Two places, the one of higher precedence second, and how many places of their signatures are equal."""
UNKNOWN = -1


class Deciding:
    """Places 0, 1, … are in order of precedence, component after component. ``stays`` has what each repeats (itself
    if it stays), or ``UNKNOWN``: all of which is decided about.

    A verdict depends on the earlier places that are alike and stay. So one that stood before stands, unless what it
    repeats went (the caller makes it ``UNKNOWN``), or one alike and earlier stays that did not, or stays no more.
    Those who stay are the lexicographically first maximal independent set, kept up to date as in Censor-Hillel,
    Haramaty and Karnin 2016, "Optimal dynamic distributed MIS".
    """

    def __init__(self, stays: Places, pairs: NDArray[np.void]) -> None:
        self.stays = stays
        self.staying = stays == np.arange(len(stays))
        self._waiting = bytearray(stays == UNKNOWN)
        ends = np.arange(len(stays) + 1)
        # Of each place the most alike first, then the first.
        pairs = pairs[np.lexsort((pairs["early"], -pairs["equal"].astype(np.int32), pairs["late"]))]
        self._early, self._equal = pairs["early"].copy(), pairs["equal"].copy()
        self._of_late = np.searchsorted(pairs["late"], ends)
        order = np.argsort(pairs["early"], kind="stable")
        self._late, self._of_early = pairs["late"][order], np.searchsorted(pairs["early"][order], ends)

    def decide(self, wide: Wide | None) -> int:
        """Fill ``stays``; returns how many were decided about."""
        if wide is not None:
            wide.prepare(np.frombuffer(self._waiting, np.bool_))
        count, place = 0, self._waiting.find(1)
        while place >= 0:
            self._waiting[place] = 0
            best = self._best(place)
            if wide is not None:
                best = wide.best(place, best)
            self.stays[place] = place if best is None else best[1]
            if (best is None) != self.staying[place]:
                self.staying[place] = best is None
                self._reach(place, wide)
            # What a place reaches comes after it.
            count, place = count + 1, self._waiting.find(1, place + 1)
        return count

    def _best(self, place: int) -> tuple[int, int] | None:
        for pair in range(self._of_late[place], self._of_late[place + 1]):
            if self.staying[early := self._early[pair]]:
                return int(self._equal[pair]), int(early)
        return None

    def _reach(self, place: int, wide: Wide | None) -> None:
        """Have those decided about again for whom it matters whether ``place`` stays."""
        waiting = np.frombuffer(self._waiting, np.bool_)
        waiting[self._late[self._of_early[place] : self._of_early[place + 1]]] = True
        if wide is not None:
            wide.changed(place)
            waiting[wide.later(place, waiting)] = True
