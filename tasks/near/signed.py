"""A published partition's signatures: made once, beside its publication; a snapshot reads no text for them.

The file has one signature after another (``permutations`` little-endian uint32), in the order of the partition's rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.catalog import FileEntry
from tasks.config import Corpus
from tasks.config.clean import Near
from tasks.kinds.base import kind_of
from tasks.log import Progress
from tasks.near.candidates import FileSignatures, Positions
from tasks.parquet import batches
from tasks.section import digest_of
from tasks.splits.base import SPLITS
from tasks.step import Context, Step
from tasks.store import Store
from tasks.text.minhash import signatures
from tasks.work import Read, Work

STEP = Step("near", 2, ("rensa", "numpy"))
ROLES = (*SPLITS, "unassigned")
_GAP = 64
"""Rows that are read and thrown away rather than asked around."""
_ASKING = 16


def near_folder(corpus: Corpus, name: str) -> str:
    """Where all that is known under the present settings of ``train.near`` lies: of a partition, or the index."""
    like = kind_of(corpus.clean).likeness
    mark = digest_of({"near": settings(corpus).model_dump(mode="json"), "column": like.column, "code": STEP.code()})
    return f"near/{corpus.corpus}/{mark[:16]}/{name}"


def settings(corpus: Corpus) -> Near:
    """``train.near`` as it is meant for the corpus's kind."""
    assert corpus.train.near is not None  # nobody asks without
    return kind_of(corpus.clean).likeness.settings(corpus.train.near)


def sign(context: Context, published: Read) -> FileEntry | None:
    """The signatures of a published partition, made unless they are there; None for one without rows.

    Raises:
        Corrupt: a published file is not the committed one.
    """
    corpus, catalog = context.corpus, context.catalog
    near, like = settings(corpus), kind_of(corpus.clean).likeness
    entries = published.manifest.of_role(*ROLES)
    rows = sum(entry.rows for entry in entries)
    if not rows:
        return None
    day = published.manifest.partition
    work = Work(
        context,
        STEP,
        near_folder(corpus, day),
        name=day,
        config=digest_of(near.model_dump(mode="json")),
        reads=[published],
    )
    if done := catalog.unchanged(work.folder, work.fingerprint):
        return done.of_role("signatures")[0]
    progress = Progress(context.log, "documents", rows)
    with tempfile.TemporaryDirectory(prefix="nightshift-sign-") as scratch:
        path = Path(scratch) / "signatures.u32"
        with path.open("wb") as out:
            for entry in entries:
                local = catalog.fetch(entry, Path(scratch) / "published.parquet")
                for table in batches(local, [like.column]):
                    for start in range(0, table.num_rows, 256):
                        texts = like.words(table[like.column].slice(start, 256).to_pylist())
                        signatures(texts, near).astype("<u4").tofile(out)
                        progress.advance(len(texts))
                local.unlink()
        file = work.add("signatures", path, rows=rows)
    work.commit([file], counts={"documents": rows})
    return file


@dataclass(frozen=True, slots=True)
class Signed:
    """One partition in the numbering of positions: its first one, and its signatures."""

    first: int
    file: FileEntry


class StoredSignatures:
    """Signatures by position, read from where they lie; a partition that has a copy here is read from that."""

    def __init__(self, store: Store, partitions: Sequence[Signed], near: Near) -> None:
        self._store = store
        self._partitions = partitions
        self._first = np.array([each.first for each in partitions], np.int64)
        self._near = near
        self._width = near.permutations
        self._copies: dict[str, Path] = {}

    def keep(self, file: FileEntry, path: Path) -> None:
        """Read ``file`` from its copy at ``path`` from now on."""
        self._copies[file.key] = path

    def rows(self, positions: Positions) -> NDArray[np.uint32]:
        """Those of ``positions``, which ascend."""
        found = np.empty((len(positions), self._width), np.uint32)
        of = np.searchsorted(self._first, positions, side="right") - 1
        for part in np.split(np.arange(len(positions)), np.flatnonzero(np.diff(of)) + 1):
            if len(part):
                partition = self._partitions[int(of[part[0]])]
                found[part] = self._of(partition.file, positions[part] - partition.first)
        return found

    def _of(self, file: FileEntry, rows: Positions) -> NDArray[np.uint32]:
        path = self._copies.get(file.key) or self._store.local(file.key)
        if path is not None:
            return FileSignatures(path, file.rows, self._near).rows(rows)
        spans = np.split(rows, np.flatnonzero(np.diff(rows) > _GAP) + 1)
        with ThreadPoolExecutor(_ASKING) as threads:
            return np.concatenate(list(threads.map(lambda span: self._asked(file, span), spans)))

    def _asked(self, file: FileEntry, span: Positions) -> NDArray[np.uint32]:
        size = self._width * 4
        count = int(span[-1] - span[0]) + 1
        stored = self._store.read_at(file.key, int(span[0]) * size, count * size)
        return np.asarray(np.frombuffer(stored, "<u4").reshape(count, self._width)[span - span[0]])
