"""Divide a clean partition into train, validation and test, one file of the partition at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from tasks.catalog import FileEntry
from tasks.command import step_command
from tasks.log import Progress
from tasks.parquet import Writers, batches
from tasks.section import digest_of
from tasks.splits.base import SPLITS, STRATEGIES
from tasks.step import Context, Step, StepResult
from tasks.work import Work, read

if TYPE_CHECKING:
    from tasks.config import Corpus

STEP = Step("split", version=2, libraries=("pyarrow",))
UNASSIGNED = "unassigned"
REJECTED = "rejected"
UIDS = ("deletions", REJECTED)
"""Roles of files that name documents without their text."""

Assign = Callable[[pa.Table], Iterable[tuple[str, pa.Table]]]
"""Rows by the role of the file that they go to."""


def staging_folder(corpus: str, partition: str) -> str:
    """Where ``split`` leaves what ``upload`` publishes."""
    return f"staging/{corpus}/{partition}"


def split(context: Context, partition: str) -> StepResult:
    """Write each clean document to the file of its split; ``unassigned`` if the snapshot is to decide.

    Deletions are carried along. So are the uids of what cleaning rejected: what such a page said in an
    earlier partition is no longer true either.

    Raises:
        BadInput: the partition was not cleaned.
        Quarantined: its gate rejected it.
        Corrupt: a clean file is missing or altered.
    """
    corpus = context.corpus
    source = read(
        context, f"clean/{corpus.corpus}/{partition}", f"dedup --corpus {corpus.corpus} --partition {partition}"
    )
    folder = staging_folder(corpus.corpus, partition)
    work = Work(context, STEP, folder, name=partition, config=_config(corpus), reads=[source])
    if done := work.done():
        return done
    documents, rejects, deletions = (source.manifest.of_role(role) for role in ("documents", "rejects", "deletions"))
    assign, progress = _assigner(corpus), Progress(context.log, "documents", sum(entry.rows for entry in documents))
    files: list[FileEntry] = []
    for entry in documents:
        files += _divide(work, entry, assign, progress=progress)
    for entry in rejects:
        files += _divide(work, entry, lambda table: [(REJECTED, table)], columns=["uid", "url"])
    files += deletions
    roles = (*SPLITS, UNASSIGNED, *UIDS)
    return work.commit(files, counts={role: sum(each.rows for each in files if each.role == role) for role in roles})


def _divide(
    work: Work, entry: FileEntry, assign: Assign, columns: list[str] | None = None, progress: Progress | None = None
) -> list[FileEntry]:
    """One file's rows as files of the roles that ``assign`` gives them."""
    with tempfile.TemporaryDirectory(prefix="nightshift-split-") as scratch:
        out = Writers(Path(scratch))
        for table in batches(work.context.catalog.fetch(entry, Path(scratch) / "in.parquet"), columns):
            for role, rows in assign(table):
                out.write(role, rows)
            if progress:
                progress.advance(table.num_rows)
        return [work.add(each.role, each.path, rows=each.rows, sha256=each.sha256) for each in out.close()]


def _config(corpus: Corpus) -> str:
    strategy = STRATEGIES.get(corpus.split.strategy.name)
    # Ratios, seed and fold change nothing yet where the snapshot is to decide.
    return corpus.split.digest() if strategy.frozen else digest_of(UNASSIGNED)


def _assigner(corpus: Corpus) -> Assign:
    chosen = corpus.split.strategy
    strategy = STRATEGIES.get(chosen.name)(chosen.params, corpus.split.ratios, corpus.split.seed)

    def assign(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        splits = strategy.assign(table)
        for name in SPLITS:
            yield name, table.filter(pc.equal(splits, name))

    return assign if strategy.frozen else lambda table: [(UNASSIGNED, table)]


@step_command("split")
def command(context: Context, partition: str) -> StepResult:
    """Divide a clean partition into train, validation and test, as ``split.strategy`` says."""
    return split(context, partition)
