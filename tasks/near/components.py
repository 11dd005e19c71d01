"""Connected components of the documents that take part: who stays in one is decided without a look at another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.near.candidates import Positions, Signatures

_NONE = np.uint32(0xFFFFFFFF)
Parents = NDArray[np.uint32]


class Alike(Protocol):
    """Who may be nearly alike, as the index knows it; each may be asked for more than once."""

    @property
    def signatures(self) -> Signatures:
        """Those of all positions."""

    def pairs(self) -> Iterator[NDArray[np.void]]:
        """Similar pairs of small groups, in portions of the type ``PAIR``."""

    def members(self) -> Iterator[NDArray[np.void]]:
        """Members of wide groups, in portions of the type ``MEMBER``."""


def connected(alike: Alike, taking: NDArray[np.bool_]) -> tuple[Positions, NDArray[np.uint32]]:
    """Of the positions that are ``taking`` part those in a pair or a wide group, ascending; and for each the least
    position of its component. A wide group is connected whole: which of its members are alike, signatures say."""
    parent = np.arange(len(taking), dtype=np.uint32)
    linked = np.zeros(len(taking), np.bool_)
    for some in alike.pairs():
        both = some[taking[some["low"]] & taking[some["high"]]]
        linked[both["low"]] = linked[both["high"]] = True
        _unite(parent, both["low"], both["high"])
    keys = np.empty(0, np.uint64)
    for some in alike.members():
        keys = np.union1d(keys, group_keys(some))
    first = np.full(len(keys), _NONE)
    for some in alike.members():
        part = some[taking[some["position"]]]
        group, position = np.searchsorted(keys, group_keys(part)), part["position"]
        unseen = first[group] == _NONE
        first[group[unseen]] = position[unseen]
        linked[position] = True
        _unite(parent, position, first[group])
    positions = np.flatnonzero(linked)
    return positions, _roots(parent, positions)


def group_keys(members: NDArray[np.void]) -> NDArray[np.uint64]:
    """The wide group of each member, as one number."""
    keys: NDArray[np.uint64] = (members["band"].astype(np.uint64) << np.uint64(32)) | members["print"]
    return keys


def _unite(parent: Parents, one: NDArray[np.uint32], other: NDArray[np.uint32]) -> None:
    """Union-find (Tarjan 1975) over all edges at once: of two roots the greater comes below the least that it meets."""
    while len(one):
        one, other = _roots(parent, one), _roots(parent, other)
        apart = one != other
        one, other = one[apart], other[apart]
        np.minimum.at(parent, np.maximum(one, other), np.minimum(one, other))


def _roots(parent: Parents, of: NDArray[np.uint32] | Positions) -> NDArray[np.uint32]:
    while True:
        above = parent[of]
        roots = parent[above]
        if (roots == above).all():
            return roots
        parent[of] = roots
