"""Values that differ by a few bits only, and in how many splits they lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from data_contracts.engine.rows import Rows

_PAIRS = 1 << 16
"""Compared at once: what a processor keeps near."""


@dataclass(frozen=True, slots=True)
class Alike:
    """One row a hash, in hexadecimal digits: ``splits``, the different ones of all hashes at most ``bits`` from it.

    Every pair from two splits is compared, a few nanoseconds each; memory holds 32 bytes and the digits of each hash.
    """

    staged: Rows
    by: str
    bits: int

    def __iter__(self) -> Iterator[pd.DataFrame]:
        import numpy as np
        import pandas as pd

        rows = pd.concat([frame[[self.by, "role"]].drop_duplicates() for frame in self.staged], ignore_index=True)
        hashes, place = np.unique(rows[self.by].to_numpy(str), return_inverse=True)
        roles, role = np.unique(rows["role"].to_numpy(str), return_inverse=True)
        lies = np.zeros((len(hashes), len(roles)), np.bool_)
        lies[place, role] = True
        words, reached = _words(hashes.tolist()), lies.copy()
        for mine, theirs in combinations(range(len(roles)), 2) if self.bits else ():
            ours, others = np.flatnonzero(lies[:, mine]), np.flatnonzero(lies[:, theirs])
            for one, other in _near(words[ours], words[others], self.bits):
                reached[ours[one], theirs] = reached[others[other], mine] = True
        yield pd.DataFrame({self.by: hashes.astype(object), "splits": reached.sum(axis=1)})


def _words(hashes: list[str]) -> NDArray[np.uint64]:
    import numpy as np

    size = -(-max((len(each) for each in hashes), default=1) // 16)
    packed = b"".join(int(each, 16).to_bytes(8 * size) for each in hashes)
    return np.frombuffer(packed, ">u8").reshape(-1, size).astype(np.uint64)


def _near(
    ours: NDArray[np.uint64], others: NDArray[np.uint64], bits: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Places of those within so many bits of each other, some pairs at a time."""
    import numpy as np

    first, most = np.ascontiguousarray(others[:, 0]), np.uint8(bits)
    for start in range(0, len(others), _PAIRS):
        along = first[start : start + _PAIRS]
        step = max(1, _PAIRS // len(along))
        for begin in range(0, len(ours), step):
            # One word tells nearly all pairs apart; the others are looked at where it does not.
            row, column = np.nonzero(np.bitwise_count(ours[begin : begin + step, :1] ^ along[None, :]) <= most)
            row, column = row + begin, column + start
            apart = np.bitwise_count(ours[row] ^ others[column]).sum(axis=1)
            if (near := apart <= bits).any():
                yield row[near], column[near]
