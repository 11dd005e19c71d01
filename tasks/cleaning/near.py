"""Near-equal texts by MinHash and locality-sensitive hashing, with the signatures on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tasks.cleaning.keys import Integers, scan, urls
from tasks.text.minhash import buckets, signatures

if TYPE_CHECKING:
    from tasks.config.corpus import Near


@dataclass(frozen=True, slots=True)
class Pair:
    """Document ``row`` goes, because ``stays`` is estimated to be so similar to it."""

    row: int
    stays: int
    similarity: float


def near_pairs(paths: Sequence[Path], rows: Integers, time: Integers, near: Near, scratch: Path) -> Iterator[Pair]:
    """Near-duplicates among the given rows of the files: each set of documents connected by similarity
    of at least ``near.threshold`` keeps its first in (timestamp, url) order.

    Signatures lie in a file under ``scratch``; memory holds eight bytes a document and what concerns
    documents that have a likely twin.
    """
    if len(rows) < 2:
        return
    signed = _signed(paths, rows, near, scratch)
    shared = list(buckets(signed, near))
    if not shared:
        return
    suspects = np.unique(np.concatenate(shared))
    url = urls(paths, rows[suspects])
    first = sorted(suspects.tolist(), key=lambda i: (time[rows[i]], url[int(rows[i])], rows[i]))
    rank = {i: position for position, i in enumerate(first)}

    head = {i: i for i in first}

    def root(i: int) -> int:
        while head[i] != i:
            head[i] = head[head[i]]
            i = head[i]
        return i

    for bucket in shared:
        members = sorted(bucket.tolist(), key=rank.__getitem__)
        # Against the first, and against the one before: a chain of small changes is one set too.
        for before, i in pairwise(members):
            for j in {members[0], before}:
                a, b = root(i), root(j)
                if a != b and _similarity(signed, i, j) >= near.threshold:
                    early, late = sorted((a, b), key=rank.__getitem__)
                    head[late] = early
    for i in first:
        if (stays := root(i)) != i:
            yield Pair(int(rows[i]), int(rows[stays]), _similarity(signed, i, stays))


def _signed(paths: Sequence[Path], rows: Integers, near: Near, scratch: Path) -> NDArray[np.uint32]:
    signed = np.memmap(scratch / "signatures", np.uint32, "w+", shape=(len(rows), near.permutations))
    seen = done = 0
    for batch in scan(paths, ["text"], rows=256):
        wanted = rows[done : np.searchsorted(rows, seen + batch.num_rows)] - seen
        signed[done : done + len(wanted)] = signatures(batch.column("text").take(wanted).to_pylist(), near)
        done += len(wanted)
        seen += batch.num_rows
    return signed


def _similarity(signed: NDArray[np.uint32], i: int, j: int) -> float:
    return float((signed[i] == signed[j]).mean())
