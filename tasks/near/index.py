"""The index of near-duplicates of a corpus: grows with each new partition, whatever the order they come in.

It knows which published documents are nearly alike, for every pair of partitions that were ever in a snapshot together.
That is a matter of their texts alone: who stays, each snapshot decides (``tasks.near.precedence``).
On the store: ``run`` files (``tasks.near.runs``), ``pairs`` and ``members`` (``tasks.near.candidates``), one of each
for every time that it grew, of which many of a size become one. All are content-addressed and never changed, so two
snapshots at once harm nothing: the later commit counts, and what it does not know it finds again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from tasks.catalog import FileEntry, Input, Manifest, fingerprint
from tasks.errors import BadInput, Corrupt, NotFound
from tasks.log import Progress
from tasks.near.candidates import MEMBER, PAIR, Candidates, Positions, gather, joined, portions, verified
from tasks.near.runs import Run, Sorter, merged
from tasks.near.signed import STEP, Signed, StoredSignatures, near_folder, settings
from tasks.section import digest_of
from tasks.text.minhash import bands

if TYPE_CHECKING:
    from tasks.step import Context

FAN = 8
"""So many files of about one size become one; a size is so many times the one before."""
_ROWS = 1 << 16
_MOST = 1 << 31
"""Positions: who comes before whom is kept in 32 bits, one of them for the sign."""


class Index:
    """``partitions`` are the signature files that it covers, in the order in which they came: their rows, one after
    another, are the positions."""

    def __init__(self, context: Context, scratch: Path, found: Manifest | None = None) -> None:
        self._context = context
        self._scratch = scratch
        self._near = settings(context.corpus)
        self._folder = near_folder(context.corpus, "index")
        self._files = list(found.files) if found else []
        known = found.details["partitions"] if found else []
        self.partitions: list[Signed] = []
        for entry in known:
            self._append(FileEntry.model_validate(entry))
        self._local: dict[str, Path] = {}
        self.signatures = StoredSignatures(context.store, self.partitions, self._near)

    @classmethod
    def open(cls, context: Context, wanted: Sequence[FileEntry], scratch: Path) -> Self:
        """The corpus's index; an empty one where there is none, or none that is worth growing: most of what it
        covers is not ``wanted`` any more."""
        folder = near_folder(context.corpus, "index")
        try:
            found = context.catalog.current(folder)
        except Corrupt as error:
            context.log.warning("the index of near-duplicates is unreadable and is made anew", error=str(error))
            return cls(context, scratch)
        if found is None:
            return cls(context, scratch)
        if damaged := context.catalog.damaged(found):
            keys = [entry.key for entry in damaged]
            context.log.warning("the index of near-duplicates is damaged and is made anew", files=keys)
            return cls(context, scratch)
        index = cls(context, scratch, found)
        asked = {entry.key: entry.rows for entry in wanted}
        useful = sum(each.file.rows for each in index.partitions if each.file.key in asked)
        new = sum(asked.values()) - useful
        if useful * 2 < index.rows or index.rows + new >= _MOST:
            return cls(context, scratch)
        return index

    @property
    def rows(self) -> int:
        """How many positions there are."""
        return self.partitions[-1].first + self.partitions[-1].file.rows if self.partitions else 0

    def ranks(self, files: Sequence[FileEntry], place: Positions) -> Positions:
        """For each position its document's ``place``, which the rows of ``files`` have one after another; -1 for
        the positions of other files."""
        first = {each.file.key: each.first for each in self.partitions}
        rank = np.full(self.rows, -1, np.int64)
        row = 0
        for entry in files:
            start = first[entry.key]
            rank[start : start + entry.rows] = place[row : row + entry.rows]
            row += entry.rows
        return rank

    def grow(self, wanted: Sequence[FileEntry]) -> int:
        """Cover all ``wanted`` signature files, and keep what was found on the store; returns the new documents.

        Raises:
            BadInput: they are more documents than one index can tell apart.
        """
        covered = {each.file.key for each in self.partitions}
        fresh = [entry for entry in wanted if entry.key not in covered]
        if not fresh:
            return 0
        start, begun = self.rows, len(self.partitions)
        for entry in fresh:
            self._append(entry)
        if self.rows >= _MOST:
            raise BadInput(
                f"corpus {self._context.corpus.corpus}: {self.rows} documents are more than near-duplicates are found "
                f"among ({_MOST}): let `train.history` take fewer days, or leave out `train.near`"
            )
        self.signatures = StoredSignatures(self._context.store, self.partitions, self._near)
        new = self.rows - start
        sorter = Sorter(self._scratch, new, self._near)
        for each in self.partitions[begun:]:
            path = self._here(each.file)
            self.signatures.keep(each.file, path)
            for row in range(0, each.file.rows, _ROWS):
                count = min(_ROWS, each.file.rows - row)
                offset = row * self._near.permutations * 4
                block = np.fromfile(path, "<u4", count * self._near.permutations, offset=offset)
                sorter.add(block.reshape(count, -1), each.first + row)
        self._find(sorter, start, new)
        self._merge()
        self._commit()
        return new

    def pairs(self) -> Iterator[NDArray[np.void]]:
        """All similar pairs of small groups, in portions of the type ``PAIR``."""
        return self._records("pairs", PAIR)

    def members(self) -> Iterator[NDArray[np.void]]:
        """The members of all wide groups, in portions of the type ``MEMBER``."""
        return self._records("members", MEMBER)

    def _append(self, file: FileEntry) -> None:
        self.partitions.append(Signed(self.rows, file))

    def _records(self, role: str, dtype: np.dtype[np.void]) -> Iterator[NDArray[np.void]]:
        yield from portions((self._here(entry) for entry in self._files if entry.role == role), dtype)

    def _runs(self) -> list[Run]:
        return [Run(self._here(entry), entry.rows) for entry in self._files if entry.role == "run"]

    def _find(self, sorter: Sorter, start: int, new: int) -> None:
        """The new run, and the pairs and members that come with it."""
        candidates = Candidates(self._scratch)
        runs = self._runs()
        progress = Progress(self._context.log, "fingerprints", new * bands(self._near)[0])
        run, members = self._scratch / "new.run", self._scratch / "new.members"
        with run.open("wb") as sorted_, members.open("wb") as wide:
            for band, entries in sorter.slices():
                entries.tofile(sorted_)
                mine = np.unique(entries & ~np.uint64(0xFFFFFFFF))
                others = [each.lookup(band, mine) for each in runs]
                together = np.sort(np.concatenate([entries, *others])) if any(map(len, others)) else entries
                gather(band, together, start, candidates).tofile(wide)
                progress.advance(len(entries))
        pairs = self._scratch / "new.pairs"
        with pairs.open("wb") as out:
            for some in verified(candidates, self.signatures, self._near):
                some.tofile(out)
        self._keep("run", run, new)
        self._keep("members", members, members.stat().st_size // MEMBER.itemsize)
        self._keep("pairs", pairs, pairs.stat().st_size // PAIR.itemsize)

    def _merge(self) -> None:
        """Make one file of ``FAN`` of a kind and a size: there are few, and each entry is rewritten few times."""
        for role in ("run", "pairs", "members"):
            while many := self._many_of_a_size(role):
                paths = [self._here(entry) for entry in many]
                rows = sum(entry.rows for entry in many)
                whole = self._scratch / f"merged.{role}"
                if role == "run":
                    runs = [Run(path, entry.rows) for path, entry in zip(paths, many, strict=True)]
                    merged(runs, whole, self._near)
                else:
                    joined(paths, whole)
                gone = {entry.key for entry in many}
                self._files = [entry for entry in self._files if entry.key not in gone]
                self._keep(role, whole, rows)

    def _many_of_a_size(self, role: str) -> list[FileEntry]:
        """``FAN`` files or more, each up to eight times as large as another; none where there are fewer."""
        sizes: dict[int, list[FileEntry]] = defaultdict(list)
        for entry in self._files:
            if entry.role == role:
                sizes[(entry.rows.bit_length() + 2) // 3].append(entry)
        return next((entries for entries in sizes.values() if len(entries) >= FAN), [])

    def _keep(self, role: str, path: Path, rows: int) -> None:
        if rows:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            entry = self._context.catalog.add_file(self._folder, role, path, digest, rows=rows)
            self._files.append(entry)
            self._local[entry.key] = path.rename(self._scratch / f"{digest}.{role}")

    def _here(self, entry: FileEntry) -> Path:
        """A stored file as one of this machine."""
        path = self._local.get(entry.key) or self._context.store.local(entry.key)
        if path is None:
            path = self._context.catalog.fetch(entry, self._scratch / "here" / entry.key.rpartition("/")[2])
            self._local[entry.key] = path
        if not path.exists():
            raise NotFound(f"no object {self._context.store.url_of(entry.key)}")
        return path

    def _commit(self) -> None:
        files = [each.file for each in self.partitions]
        inputs = tuple(Input(name=file.key, digest=file.sha256) for file in files)
        config = digest_of(self._near.model_dump(mode="json"))
        self._context.catalog.commit(
            self._folder,
            Manifest(
                step=STEP.name,
                corpus=self._context.corpus.corpus,
                partition="index",
                fingerprint=fingerprint(STEP.code(), config, inputs),
                code=STEP.code(),
                config=config,
                inputs=inputs,
                files=tuple(self._files),
                counts={
                    "documents": self.rows,
                    **{role: sum(e.rows for e in self._files if e.role == role) for role in ("pairs", "members")},
                    "runs": sum(e.role == "run" for e in self._files),
                },
                details={"partitions": [file.model_dump(exclude={"etag"}) for file in files]},
            ),
        )
