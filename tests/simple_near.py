"""Near-duplicates with everything in memory: the plain rules that ``tasks.near`` must agree with, row for row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.config.clean import Near
from tasks.text.minhash import band_key, bands


def buckets(signed: NDArray[np.uint32], near: Near) -> Iterator[NDArray[np.int64]]:
    """Sets of two or more rows of ``signed`` that share a band, each in ascending order."""
    for band in range(bands(near)[0]):
        key = band_key(signed, near, band)
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order])) + 1
        yield from (bucket for bucket in np.split(order, starts) if len(bucket) > 1)


def across(signed: NDArray[np.uint32], near: Near) -> Iterator[tuple[int, int]]:
    """Of a snapshot: places whose text is nearly that of an earlier place which stays; and that, the most alike."""
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


def within(signed: NDArray[np.uint32], near: Near) -> Iterator[tuple[int, int, float]]:
    """Of a partition: each set of rows connected by similarity keeps its first; rows are in (timestamp, url) order."""
    shared = list(buckets(signed, near))
    head = dict.fromkeys(range(len(signed)), -1)
    head = {i: i for i in head}

    def root(i: int) -> int:
        while head[i] != i:
            i = head[i]
        return i

    for bucket in shared:
        members = bucket.tolist()
        for before, i in pairwise(members):
            for j in {members[0], before}:
                if _similarity(signed, i, j) >= near.threshold:
                    early, late = sorted((root(i), root(j)))
                    head[late] = early
    for i in head:
        if (stays := root(i)) != i:
            yield i, stays, _similarity(signed, i, stays)


def _similarity(signed: NDArray[np.uint32], i: int, j: int) -> float:
    return float((signed[i] == signed[j]).mean())
