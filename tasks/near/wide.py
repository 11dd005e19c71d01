"""Who of the wide groups is alike: their members are compared by their signatures as they are decided about."""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np
from numpy.typing import NDArray

from tasks.config.clean import Near
from tasks.near.candidates import sharing
from tasks.near.components import group_keys
from tasks.near.held import Held

_COMPARED = 1 << 12
Places = NDArray[np.int64]


class Wide:
    """The wide groups of ``members``, whose ``position`` is a place; ``staying`` says of each place whether it stays,
    and is kept up to date by the caller."""

    def __init__(self, members: NDArray[np.void], staying: NDArray[np.bool_], held: Held, near: Near) -> None:
        self._near = near
        self._held = held
        self._staying = staying
        self._lists: dict[int, list[int]] = {}
        key, group = np.unique(group_keys(members), return_inverse=True)
        place = members["position"].astype(np.int64)
        order = np.lexsort((place, group))
        self._member, self._begin = place[order], np.searchsorted(group[order], np.arange(len(key) + 1))
        order = np.lexsort((group, place))
        self._group, self._of = group[order], np.searchsorted(place[order], np.arange(len(staying) + 1))

    def prepare(self, waiting: NDArray[np.bool_]) -> None:
        """Read at once what deciding about the places that are ``waiting`` needs of the store."""
        size = np.diff(self._of)
        asked = np.repeat(waiting, size)
        touched = np.zeros(len(self._begin) - 1, np.bool_)
        touched[self._group[asked]] = True
        others = self._member[np.repeat(touched, np.diff(self._begin))]
        self._held.need(np.flatnonzero(waiting & (size > 0)))
        self._held.need(np.unique(others[self._staying[others]]))

    def best(self, place: int, best: tuple[int, int] | None) -> tuple[int, int] | None:
        """The most alike, and first, of ``best`` and those before ``place`` who stay: equal places, and which one."""
        before = set[int]()
        for group in self._groups(place):
            staying = self._stayers(group)
            before.update(staying[: bisect_left(staying, place)])
        # In order, so the first of the most alike is the first place, too.
        for other, equal in self._alike(place, before):
            if best is None or (-equal, other) < (-best[0], best[1]):
                best = equal, other
        return best

    def later(self, place: int, waiting: NDArray[np.bool_]) -> list[int]:
        """The places after ``place`` that are alike, but those ``waiting``."""
        after = set[int]()
        for group in self._groups(place):
            members = self._member[self._begin[group] : self._begin[group + 1]]
            members = members[np.searchsorted(members, place, side="right") :]
            after.update(members[~waiting[members]].tolist())
        return [other for other, _ in self._alike(place, after)]

    def changed(self, place: int) -> None:
        """Take note that ``place``, which was asked about, stays now, or does not any more."""
        for group in self._groups(place):
            if self._staying[place]:
                insort(self._lists[group], place)
            else:
                self._lists[group].remove(place)

    def _groups(self, place: int) -> list[int]:
        groups: list[int] = self._group[self._of[place] : self._of[place + 1]].tolist()
        return groups

    def _stayers(self, group: int) -> list[int]:
        if group not in self._lists:
            members = self._member[self._begin[group] : self._begin[group + 1]]
            self._lists[group] = members[self._staying[members]].tolist()
        return self._lists[group]

    def _alike(self, place: int, others: set[int]) -> list[tuple[int, int]]:
        """Those of ``others`` that are alike, each with how many places of the signatures are equal."""
        found: list[tuple[int, int]] = []
        if not others:
            return found
        mine, ordered = self._held.rows(np.array([place])), np.array(sorted(others), np.int64)
        for start in range(0, len(ordered), _COMPARED):
            some = ordered[start : start + _COMPARED]
            equal = self._held.rows(some) == mine
            count = equal.sum(axis=1)
            like = np.flatnonzero(count / self._near.permutations >= self._near.threshold)
            if len(like):
                like = like[sharing(equal[like], self._near)]
                found += zip(some[like].tolist(), count[like].tolist(), strict=True)
        return found
