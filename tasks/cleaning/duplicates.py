"""Which documents of a partition go: older versions of a page, equal texts, near-equal texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.cleaning.keys import Integers, Keys, Part, groups, ids, scan, urls
from tasks.cleaning.near import Signer, near_pairs
from tasks.config.clean import Dedup
from tasks.kinds.base import TEXTS, Likeness

KEPT, SUPERSEDED, DUPLICATE, NEAR_DUPLICATE = range(4)
REASONS = ("", "superseded", "duplicate", "near_duplicate")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One entry for each document, in reading order over all parts."""

    keys: Keys
    reason: NDArray[np.uint8]
    """An index into ``REASONS``."""
    other: Integers
    """The row of the document that stays instead; of a superseded one, the newer version's time."""
    similarity: NDArray[np.float64]
    deleted: NDArray[np.bool_]
    """One entry for each deletion: whether its page is still gone when the partition ends."""

    def explain(self, row: int) -> tuple[str, str, str]:
        """Reason, measured value and detail of the reject that a document has become."""
        reason = REASONS[self.reason[row]]
        if reason == "superseded":
            newer = _EPOCH + timedelta(microseconds=int(self.other[row]))
            return reason, newer.isoformat(), "time of the newer version"
        high, low = (int(half) for half in self.keys.uid[self.other[row]])
        return reason, f"{self.similarity[row]:.3g}", f"similarity to uid {high:016x}{low:016x}, which stays"


def judge(
    parts: Sequence[Part], dedup: Dedup, scratch: Path, like: Likeness = TEXTS, signer: Signer | None = None
) -> Verdicts:
    """Decide over all documents of all parts; memory grows by some 50 bytes a document, never by its text.

    Of several captures of one URL the latest stays, be it a document, a deletion or a reject; at the
    same moment a document goes before a deletion, a deletion before a reject, and of documents the one
    read last. Of equal or near-equal texts the first in (timestamp, url) order stays.
    """
    paths = [path for part in parts for path in part.documents]
    keys = Keys.read(paths)
    deletions = Keys.read([path for part in parts for path in part.deletions])
    rejects = Keys.read([path for part in parts for path in part.rejects])
    verdicts = Verdicts(
        keys=keys,
        reason=np.zeros(len(keys), np.uint8),
        other=np.zeros(len(keys), np.int64),
        similarity=np.ones(len(keys)),
        deleted=np.zeros(len(deletions), np.bool_),
    )
    _supersede(verdicts, deletions, rejects)
    if dedup.exact:
        _equal(verdicts, paths)
    if dedup.near is not None:
        kept = np.flatnonzero(verdicts.reason == KEPT)
        for pair in near_pairs(paths, kept, keys.time, dedup.near, scratch, like, signer):
            verdicts.reason[pair.row] = NEAR_DUPLICATE
            verdicts.other[pair.row] = pair.stays
            verdicts.similarity[pair.row] = pair.similarity
    return verdicts


def _supersede(verdicts: Verdicts, deletions: Keys, rejects: Keys) -> None:
    events = (rejects, deletions, verdicts.keys)
    uid = np.concatenate([e.uid for e in events])
    time = np.concatenate([e.time for e in events])
    rank = np.repeat(np.arange(len(events)), [len(e) for e in events])
    if not len(uid):
        return
    order, begins = groups(uid, time, rank)
    latest = np.empty(len(order), np.int64)
    last_of_group = np.append(np.flatnonzero(begins)[1:], len(order)) - 1
    latest[order] = order[last_of_group][np.cumsum(begins) - 1]

    first_document = len(rejects) + len(deletions)
    of_documents = latest[first_document:]
    older = of_documents != np.arange(first_document, len(order))
    verdicts.reason[older] = SUPERSEDED
    verdicts.other[older] = time[of_documents[older]]

    of_deletions = latest[len(rejects) : first_document]
    # A page that is gone, whatever came of it before; one that came back as a document is not.
    gone = of_deletions < first_document
    once = np.zeros(len(deletions), np.bool_)
    order, begins = groups(deletions.uid, deletions.time)
    once[order[begins]] = True
    verdicts.deleted[:] = gone & once


def _equal(verdicts: Verdicts, paths: Sequence[Path]) -> None:
    digest = np.concatenate(
        [np.empty((0, 2), np.uint64), *(ids(batch.column("digest")) for batch in scan(paths, ["digest"]))]
    )
    kept = np.flatnonzero(verdicts.reason == KEPT)
    order, begins = groups(digest[kept])
    sets = [rows for rows in np.split(kept[order], np.flatnonzero(begins)[1:]) if len(rows) > 1]
    if not sets:
        return
    url = urls(paths, np.concatenate(sets))
    for rows in sets:
        stays, *others = sorted(rows.tolist(), key=lambda row: (verdicts.keys.time[row], url[row], row))
        verdicts.reason[others] = DUPLICATE
        verdicts.other[others] = stays
