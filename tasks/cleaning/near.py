"""Near-equal texts of one partition by MinHash and locality-sensitive hashing; what grows with them lies on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.cleaning.keys import Integers, scan
from tasks.kinds.base import TEXTS, Likeness
from tasks.near.candidates import Candidates, FileSignatures, verified
from tasks.near.runs import HALF, LOW, Sorter
from tasks.text.minhash import band_key, signatures

if TYPE_CHECKING:
    from tasks.config.clean import Near

Signer = Callable[["Near"], Iterator[NDArray[np.uint32]]]
"""Signatures of all rows of the files, in reading order, some at a time: made elsewhere than here."""
_ROWS = 1 << 14


@dataclass(frozen=True, slots=True)
class Pair:
    """Document ``row`` goes, because ``stays`` is estimated to be so similar to it."""

    row: int
    stays: int
    similarity: float


def near_pairs(
    paths: Sequence[Path],
    rows: Integers,
    time: Integers,
    near: Near,
    scratch: Path,
    like: Likeness = TEXTS,
    signer: Signer | None = None,
) -> Iterator[Pair]:
    """Near-duplicates among the given rows of the files: each set of documents connected by similarity
    of at least ``near.threshold`` keeps its first in (timestamp, url) order.

    Signatures, and who shares a band with whom, lie under ``scratch``; memory holds 17 bytes a document, and the
    URLs of those that have a likely twin.
    """
    if len(rows) < 2:
        return
    near = like.settings(near)
    sorter = Sorter(scratch, len(rows), near)
    each = _chosen(signer(near), rows) if signer else _signatures(paths, rows, near, like)
    _sign(each, scratch / "signatures", sorter)
    signed = FileSignatures(scratch / "signatures", len(rows), near)
    suspects = np.zeros(len(rows), np.bool_)
    groups: list[tuple[int, Path]] = []
    for band, entries in sorter.slices():
        high = entries >> HALF
        same = high[1:] == high[:-1]
        shared = entries[np.append(same, False) | np.append(False, same)]
        suspects[(shared & LOW).astype(np.int64)] = True
        groups.append((band, scratch / f"{len(groups)}.shared"))
        shared.tofile(groups[-1][1])
    if not suspects.any():
        return
    rank = _ranks(paths, rows, time, np.flatnonzero(suspects))
    candidates = Candidates(scratch)
    for band, path in groups:
        _compare(np.fromfile(path, np.uint64), band, rank, signed, near, candidates)
        path.unlink()

    head = np.arange(len(rows))

    def root(i: int) -> int:
        while head[i] != i:
            head[i] = head[head[i]]
            i = int(head[i])
        return i

    for pairs in verified(candidates, signed, near):
        for one, other in zip(pairs["low"].tolist(), pairs["high"].tolist(), strict=True):
            a, b = root(one), root(other)
            if a != b:
                early, late = (a, b) if rank[a] < rank[b] else (b, a)
                head[late] = early
    for chunk in np.array_split(found := np.flatnonzero(head != np.arange(len(head))), len(found) // _ROWS + 1):
        stay = np.array([root(i) for i in chunk.tolist()], np.int64)
        similarity = (signed.rows(chunk) == signed.rows(stay)).mean(axis=1)
        for row, stays, value in zip(rows[chunk].tolist(), rows[stay].tolist(), similarity.tolist(), strict=True):
            yield Pair(row, stays, value)


def _sign(signed: Iterator[NDArray[np.uint32]], target: Path, sorter: Sorter) -> None:
    waiting: list[NDArray[np.uint32]] = []
    taken = held = 0
    with target.open("wb") as out:
        for some in signed:
            some.astype("<u4").tofile(out)
            waiting.append(some)
            held += len(some)
            if held >= _ROWS:
                sorter.add(np.concatenate(waiting), taken)
                taken, waiting, held = taken + held, [], 0
    if waiting:
        sorter.add(np.concatenate(waiting), taken)


def _signatures(paths: Sequence[Path], rows: Integers, near: Near, like: Likeness) -> Iterator[NDArray[np.uint32]]:
    """Signatures of the given rows of the files, in order."""
    seen = 0
    for batch in scan(paths, [like.column], rows=256):
        wanted = _within(rows, seen, batch.num_rows) - seen
        yield signatures(like.words(batch.column(like.column).take(wanted).to_pylist()), near)
        seen += batch.num_rows


def _chosen(signed: Iterator[NDArray[np.uint32]], rows: Integers) -> Iterator[NDArray[np.uint32]]:
    """Of the signatures of all rows those of the given ones."""
    seen = 0
    for some in signed:
        yield some[_within(rows, seen, len(some)) - seen]
        seen += len(some)


def _within(rows: Integers, start: int, count: int) -> Integers:
    return rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + count)]


def _ranks(paths: Sequence[Path], rows: Integers, time: Integers, suspects: Integers) -> Integers:
    """For each of the suspects its place in (timestamp, url) order; for the others nothing that counts."""
    wanted, urls, seen = rows[suspects], [], 0
    for batch in scan(paths, ["url"]):
        urls.append(batch.column("url").take(pa.array(_within(wanted, seen, batch.num_rows) - seen)))
        seen += batch.num_rows
    # Arrow compares UTF-8 byte by byte, which is the order of code points.
    table = pa.table({"time": time[wanted], "url": pa.chunked_array(urls), "row": wanted})
    order = table.sort_by([(name, "ascending") for name in ("time", "url", "row")])["row"].to_numpy()
    rank = np.zeros(len(rows), np.int64)
    rank[np.searchsorted(rows, order)] = np.arange(len(order))
    return rank


def _compare(
    entries: NDArray[np.uint64], band: int, rank: Integers, signed: FileSignatures, near: Near, candidates: Candidates
) -> None:
    """Of each group that shares a band, each member with the first, and with the one before: a chain of small
    changes is one set too."""
    if not len(entries):
        return
    places = (entries & LOW).astype(np.int64)
    key = np.empty(len(places), np.uint64)
    for start in range(0, len(places), _ROWS):
        chunk = slice(start, start + _ROWS)
        # The band itself, not its fingerprint: a stranger among them would come between two neighbours.
        key[chunk] = band_key(signed.rows(places[chunk]), near, band)
    order = np.lexsort((rank[places], key))
    places, key = places[order], key[order]
    begins = np.append(True, key[1:] != key[:-1])
    first = places[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    for other in (first[1:], places[:-1]):
        mine, theirs = places[1:][~begins[1:]], other[~begins[1:]]
        candidates.add(np.minimum(mine, theirs).astype(np.uint64), np.maximum(mine, theirs).astype(np.uint64))
