"""Makes the files of one snapshot: decides over keys, then writes the texts that stay."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.catalog import FileEntry
from tasks.cleaning.keys import Integers
from tasks.cleaning.output import TableFile
from tasks.errors import BadInput
from tasks.kinds.base import kind_of
from tasks.log import Progress
from tasks.near.index import Index
from tasks.near.precedence import nearly_repeated
from tasks.near.signed import sign
from tasks.resolution import rules, tfrecord
from tasks.resolution.published import Keys, Published, Rows, numbered
from tasks.resolution.shuffle import Shuffle, plan
from tasks.splits.base import SPLITS, STRATEGIES
from tasks.step import Context
from tasks.work import Read, Work

if TYPE_CHECKING:
    from tasks.config.clean import Clean

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("uid", "url", "text", "label", "language")),
        ("length", pa.int64()),
        ("group", pa.string()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("digest", pa.string()),
        ("partition", pa.string()),
    ]
)
REMOVED = pa.schema([(name, pa.string()) for name in ("uid", "url", "partition", "reason", "duplicate_of")])


def schema_of(clean: Clean) -> pa.Schema:
    """Columns of a snapshot's rows: ``SCHEMA`` and those of the corpus's kind."""
    return pa.schema([*SCHEMA, *kind_of(clean).fields])


class Resolver:
    """One snapshot in the making. Memory grows by some 150 bytes a document, never by its text."""

    def __init__(self, context: Context, work: Work, partitions: list[Read], scratch: Path) -> None:
        self._context = context
        self._work = work
        self._days = [each.manifest.partition for each in partitions]
        self._scratch = scratch
        self._partitions = partitions
        self._published = Published(context, partitions, scratch)
        self._schema = schema_of(context.corpus.clean)
        self._exported = kind_of(context.corpus.clean).exported
        split = context.corpus.split
        self._strategy = STRATEGIES.get(split.strategy.name)(split.strategy.params, split.ratios, split.seed)

    def run(self) -> tuple[list[FileEntry], dict[str, Any]]:
        """The snapshot's files and counts.

        Raises:
            BadInput: no document is left.
        """
        keys = self._published.keys(self._strategy)
        reason, other = self._choose(keys)
        staying = np.flatnonzero(reason == rules.KEPT)
        if not len(staying):
            days = ", ".join(self._days if len(self._days) <= 10 else [*self._days[:3], "…", *self._days[-3:]])
            raise BadInput(
                f"corpus {self._context.corpus.corpus}: no document is left of {self._published.count} in the "
                f"{len(self._days)} partition(s) {days}"
            )
        if keys.assignable is not None:
            keys.split[staying] = numbered(self._strategy.assign(keys.assignable.take(pa.array(staying))))
        files, labels = self._write(keys, reason, other)
        removed = Counter(rules.REASONS[code] for code in reason[reason != rules.KEPT].tolist())
        return files, {
            **{name: int((keys.split[staying] == index).sum()) for index, name in enumerate(SPLITS)},
            "labels": labels,
            "removed": dict(sorted(removed.items())),
        }

    def _choose(self, keys: Keys) -> tuple[NDArray[np.uint8], Integers]:
        """For each document why it goes, an index into ``REASONS``, and which one it repeats, or -1."""
        published = self._published
        reason = rules.outdated(keys.documents, published.events("deletions"), published.events("rejected"))
        other = np.full(len(reason), -1, np.int64)
        order = rules.precedence(np.flatnonzero(reason == rules.KEPT), keys.split)
        rows, stay = rules.equal_texts(order, keys.digest)
        reason[rows], other[rows] = rules.DUPLICATE, stay
        if self._context.corpus.train.near is not None:
            order = order[reason[order] == rules.KEPT]
            rows, stay = self._near(order)
            reason[rows], other[rows] = rules.NEAR_DUPLICATE, stay
        return reason, other

    def _near(self, order: Integers) -> tuple[Integers, Integers]:
        """Rows of ``order`` that are nearly a row before them which stays; and these rows."""
        place = np.full(self._published.count, -1, np.int64)
        place[order] = np.arange(len(order))
        signed = [sign(self._context, each) for each in self._partitions]
        files = [entry for entry in signed if entry is not None]
        index = Index.open(self._context, files, self._scratch)
        new = index.grow(files)
        mine, stays, decided = nearly_repeated(self._context, index, files, place, self._scratch)
        self._context.log.info(
            "compared for near-duplicates", documents=len(order), new_to_the_index=new, decided=decided
        )
        return order[mine], order[stays]

    def _write(
        self, keys: Keys, reason: NDArray[np.uint8], other: Integers
    ) -> tuple[list[FileEntry], dict[str, dict[str, int]]]:
        """The stored files, and how many documents of each label each split has."""
        staying = reason == rules.KEPT
        roles: list[str] = []
        target = np.full(len(reason), -1, np.int32)
        for index, name in enumerate(SPLITS):
            for rows in plan(np.flatnonzero(staying & (keys.split == index)), keys.uid, keys.length):
                target[rows] = len(roles)
                roles.append(name)
        labels: dict[str, Counter[str]] = defaultdict(Counter)
        shuffle = Shuffle(self._scratch, self._schema)
        removed = TableFile("removed", self._scratch, REMOVED)
        progress = Progress(self._context.log, "documents", self._published.count)
        for each in self._published.rows([name for name in self._schema.names if name != "partition"]):
            day = pa.array([self._days[each.partition]] * each.table.num_rows, pa.string())
            shuffle.add(each.table.append_column("partition", day).select(self._schema.names), target[each.span])
            for label, code, stays in zip(
                each.table["label"].to_pylist(),
                keys.split[each.span].tolist(),
                staying[each.span].tolist(),
                strict=True,
            ):
                if stays and label is not None:
                    labels[label][SPLITS[code]] += 1
            removed.add(self._removed(each, keys, reason, other))
            progress.advance(each.table.num_rows)
        files: list[FileEntry] = []
        for number, written in shuffle.files():
            files.append(self._work.add(roles[number], written.path, rows=written.rows, sha256=written.sha256))
            if self._exported:
                path = self._scratch / "rows.tfrecord"
                tfrecord.write(written.path, path, self._exported)
                files.append(self._work.add(f"tfrecord_{roles[number]}", path, rows=written.rows))
        files += [self._work.add("removed", w.path, rows=w.rows, sha256=w.sha256) for w in removed.close()]
        return files, {label: dict(sorted(counted.items())) for label, counted in sorted(labels.items())}

    def _removed(self, rows: Rows, keys: Keys, reason: NDArray[np.uint8], other: Integers) -> pa.RecordBatch:
        gone = np.flatnonzero(reason[rows.span] != rules.KEPT)
        numbers = gone + rows.span.start
        table = rows.table.select(["uid", "url"]).take(pa.array(gone))
        return pa.RecordBatch.from_arrays(
            [
                *(column.combine_chunks() for column in table.columns),
                pa.array([self._days[rows.partition]] * len(gone), pa.string()),
                pa.array([rules.REASONS[code] for code in reason[numbers].tolist()], pa.string()),
                pa.array([keys.hex(row) if row >= 0 else None for row in other[numbers].tolist()], pa.string()),
            ],
            schema=REMOVED,
        )
