"""A committed shard under other filters: its files fetched, judged again, and kept until somebody commits them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.catalog import Catalog, FileEntry, Manifest
from tasks.cleaning import schema
from tasks.cleaning.bounds import Bound
from tasks.cleaning.keys import Part, scan
from tasks.cleaning.output import Sink, Written
from tasks.cleaning.rejudge import Impossible, Plan, plan, rejudge
from tasks.config.clean import Clean


@dataclass(frozen=True, slots=True)
class Refiltered:
    """One shard under the new filters."""

    old: Manifest
    plan: Plan
    counts: dict[str, Any]
    again: int
    """Rows that the filters themselves had to judge again."""
    written: list[Written]
    part: Part
    """The old files, here."""

    def add(self, catalog: Catalog, folder: str) -> list[FileEntry]:
        """Store the new files; deletions stay as they are."""
        files = [catalog.add_file(folder, w.role, w.path, w.sha256, rows=w.rows) for w in self.written]
        return [*files, *self.old.of_role("deletions")]

    def values(self, bound: Bound) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What was measured on the old documents, and on the rejects by this very threshold."""
        kept = [batch.column(0).to_numpy(zero_copy_only=False) for batch in scan(self.part.documents, [bound.column])]
        dropped: list[float] = []
        for batch in scan(self.part.rejects, ["reason", "value"]):
            rows = zip(batch.column("reason").to_pylist(), batch.column("value").to_pylist(), strict=True)
            dropped += [float(value) for reason, value in rows if reason == bound.reason]
        return np.concatenate([np.empty(0), *kept]), np.array(dropped, np.float64)


def source(catalog: Catalog, folder: str, code: dict[str, Any], inputs: tuple[Any, ...], extraction: str) -> Manifest:
    """The committed shard, if other filters are all that cleaning it anew would change.

    Raises:
        Impossible: it is not; says what else changed.
    """
    old = catalog.current(folder)
    if old is None:
        raise Impossible("it was not cleaned yet")
    if old.inputs[:1] != inputs[:1]:
        raise Impossible("its raw input changed")
    # The others are lists. A new one comes with a filter, which is judged by; one that changed shows in no filter.
    read = {each.name: each.digest for each in old.inputs}
    for each in inputs:
        if read.get(each.name, each.digest) != each.digest:
            raise Impossible(f"the list {each.name} changed")
    if old.code != code:
        raise Impossible("the code that cleans, or a library of it, changed")
    if old.details.get("extraction") != extraction:
        raise Impossible("more than filters changed under `clean` in the YAML")
    if catalog.damaged(old):
        raise Impossible("a file of it is missing or altered")
    return old


@contextmanager
def refiltered(catalog: Catalog, old: Manifest, clean: Clean, *, exact: bool = False) -> Iterator[Refiltered]:
    """The shard of manifest ``old`` under the filters of ``clean``, as long as the context lasts.

    ``exact``: rejects too must be those of cleaning anew, letter for letter.

    Raises:
        Impossible: what is stored does not tell how cleaning anew would decide.
    """
    chosen = plan(old.details["filters"], clean)
    if exact and chosen.tightens:
        raise Impossible("a filter changed that stands before one that changes texts, and rejects would have its text")
    with tempfile.TemporaryDirectory(prefix="nightshift-filter-") as scratch:
        local = {
            role: tuple(
                catalog.fetch(entry, Path(scratch) / role / Path(entry.key).name) for entry in old.of_role(role)
            )
            for role in ("documents", "rejects")
        }
        part = Part(**local)
        sink = Sink(Path(scratch) / "out", schema.documents(clean))
        again = rejudge(part, chosen, clean, sink)
        written = sink.close()
        counts = sink.summary(old.counts) | {"deletions": old.counts["deletions"]}
        yield Refiltered(old, chosen, counts, again, written, part)
