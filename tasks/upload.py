"""Publish a split partition: copy it from staging, read it back, then move the pointer."""

from __future__ import annotations

from tasks.catalog import FileEntry
from tasks.command import step_command
from tasks.errors import Corrupt
from tasks.log import Progress
from tasks.split import staging_folder
from tasks.step import Context, Step, StepResult
from tasks.work import Work, read

STEP = Step("upload", version=1)


def dataset_folder(corpus: str, partition: str) -> str:
    """Where readers find a published partition."""
    return f"dataset/{corpus}/{partition}"


def upload(context: Context, partition: str) -> StepResult:
    """Publish a partition. Until its manifest is written, readers see the earlier one or none.

    Raises:
        BadInput: the partition was not split.
        Quarantined: its gate rejected it.
        Corrupt: a staged file is damaged, or a published one is not what was sent.
    """
    corpus = context.corpus
    source = read(
        context,
        staging_folder(corpus.corpus, partition),
        f"split --corpus {corpus.corpus} --partition {partition}",
    )
    folder = dataset_folder(corpus.corpus, partition)
    work = Work(context, STEP, folder, name=partition, config=corpus.upload.digest(), reads=[source])
    if done := work.done():
        _sign(context, folder)
        return done
    progress = Progress(context.log, "files", len(source.manifest.files))
    files: list[FileEntry] = []
    for entry in source.manifest.files:
        files.append(_publish(context, entry, folder))
        progress.advance()
    result = work.commit(files, counts=source.manifest.counts, details={"verified": corpus.upload.verify})
    _sign(context, folder)
    return result


def _sign(context: Context, folder: str) -> None:
    """Have what tells near-duplicates beside the partition, so that no snapshot reads its texts for it again."""
    if context.corpus.train.near is not None:
        from tasks.near.signed import sign

        day = folder.rpartition("/")[2]
        sign(context, read(context, folder, f"upload --corpus {context.corpus.corpus} --partition {day}"))


def _publish(context: Context, entry: FileEntry, folder: str) -> FileEntry:
    target = f"{folder}/{entry.role}/{entry.key.rpartition('/')[2]}"
    published = context.store.stat(target)
    # What is there already and right is left alone: somebody may be reading it.
    if published is None or published.size != entry.size or context.store.sha256(target) != entry.sha256:
        published = context.store.copy(entry.key, target)
        # Read from the store, not from what was sent: a disk that lied is found out before any reader is.
        if context.corpus.upload.verify and context.store.sha256(target) != entry.sha256:
            raise Corrupt(
                f"{context.store.url_of(target)} is not what was published: its sha256 is not {entry.sha256[:16]}…; "
                "the earlier version stays current. Run the step again; if it fails again, look at the store's disks"
            )
    return entry.model_copy(update={"key": target, "etag": published.etag})


@step_command("upload")
def command(context: Context, partition: str) -> StepResult:
    """Publish a split partition, verified by reading it back."""
    return upload(context, partition)
