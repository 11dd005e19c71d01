"""Which documents stay: the latest of each URL, and each text once. Arrays in, arrays out; no texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.cleaning.keys import Integers, groups

KEPT, SUPERSEDED, DELETED, REJECTED, DUPLICATE, NEAR_DUPLICATE = range(6)
REASONS = ("", "superseded", "deleted", "rejected", "duplicate", "near_duplicate")
UNASSIGNED = 3
# What a test or validation document says must not be trained on, so train gives way first.
_RANK = np.array([2, 1, 0, 3], np.int8)


@dataclass(frozen=True, slots=True)
class Events:
    """Something that happened to a document, in the order of partitions."""

    uid: NDArray[np.uint64]
    """Shape ``(events, 2)``: 128 bits as two columns."""
    partition: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.partition)


def outdated(documents: Events, deletions: Events, rejects: Events) -> NDArray[np.uint8]:
    """For each document why it is no longer true, an index into ``REASONS``: the latest event of a uid counts.

    A page that comes back after its deletion stays. One whose newest version cleaning rejected goes: what
    it said before is no more. Within one partition a document goes before a deletion, that before a reject.
    """
    events = (rejects, deletions, documents)
    uid = np.concatenate([each.uid for each in events])
    partition = np.concatenate([each.partition for each in events])
    kind = np.repeat(np.array([REJECTED, DELETED, SUPERSEDED], np.uint8), [len(each) for each in events])
    order, begins = groups(uid, partition, np.repeat(np.arange(3), [len(each) for each in events]))
    if not len(order):
        return np.empty(0, np.uint8)
    last = np.append(np.flatnonzero(begins)[1:], len(order)) - 1
    latest = np.empty(len(order), np.int64)
    latest[order] = order[last][np.cumsum(begins) - 1]
    mine = np.arange(len(rejects) + len(deletions), len(order))
    return np.where(latest[mine] == mine, np.uint8(KEPT), kind[latest[mine]])


def precedence(rows: Integers, split: NDArray[np.int8]) -> Integers:
    """Rows in the order in which they may stay: test, validation, train; the earliest first in each.

    ``split`` has an index into ``SPLITS`` or ``UNASSIGNED`` for every document.
    """
    return rows[np.lexsort((rows, _RANK[split[rows]]))]


def equal_texts(order: Integers, digest: NDArray[np.uint64]) -> tuple[Integers, Integers]:
    """Rows whose text stands in a row of higher precedence, letter for letter; and those rows."""
    if not len(order):
        return order, order
    places, begins = groups(digest[order])
    first = places[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    return order[places[~begins]], order[first[~begins]]
