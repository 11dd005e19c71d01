"""Which documents stay: the latest of each URL, and each text once. Arrays in, arrays out; no texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks.cleaning.keys import Integers, groups
from tasks.text.minhash import buckets

if TYPE_CHECKING:
    from tasks.config.corpus import Near

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


def near_texts(signed: NDArray[np.uint32], near: Near) -> Iterator[tuple[int, int]]:
    """Places whose text is nearly that of an earlier place which stays; and that place, the most alike.

    ``signed`` has a signature a place, in order of precedence. Who shares a band of it with a place that
    stays is compared with it in whole. What went is compared with nothing, so a chain of small changes is
    cut and not removed to its last link.
    """
    shared: list[Sequence[int]] = [bucket.tolist() for bucket in buckets(signed, near)]
    mine = defaultdict(list)
    for number, bucket in enumerate(shared):
        for place in bucket:
            mine[place].append(number)
    staying: dict[int, list[int]] = defaultdict(list)
    for place in sorted(mine):
        others = sorted({other for number in mine[place] for other in staying[number]})
        if others:
            likeness = (signed[others] == signed[place]).mean(axis=1)
            best = int(likeness.argmax())
            if likeness[best] >= near.threshold:
                yield place, others[best]
                continue
        for number in mine[place]:
            staying[number].append(place)
