"""``nightshift backup``: copy the champion and all that it is made of to the second store, and read it back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import click

from tasks.backups.collect import Collection, collect
from tasks.backups.vault import Backup, Vault, require_apart
from tasks.catalog import Manifest, fingerprint
from tasks.command import step_command
from tasks.errors import BadInput, Corrupt, StoreError
from tasks.log import Progress
from tasks.model_registry import Backed, Registry, Version
from tasks.step import Context, Step, StepResult
from tasks.store import open_store

STEP = Step("backup", version=1)
_TRIES = 3


def open_vault(context: Context, url: str | None) -> Vault:
    """The corpus's backups at ``url``, or where ``NIGHTSHIFT_BACKUP`` says.

    Raises:
        BadInput: neither is given.
    """
    chosen = url or context.env.get("NIGHTSHIFT_BACKUP")
    if not chosen:
        raise BadInput("no backup store: set NIGHTSHIFT_BACKUP, or give its URL, as in s3://nightshift-backup")
    return Vault(open_store(chosen, context.env), context.corpus.corpus)


def backup(context: Context, vault: Vault, *, at: datetime, verify: bool = False) -> StepResult:
    """Copy the champion; nothing to do when this champion and this history are in the vault, intact.

    Objects first, each read back after it was written, then the inventory: a backup is whole or not
    there. Then all but the ``backup.keep`` newest are removed. An object that was read back once and has
    the same ETag is trusted, unless ``verify`` asks to read all of them. ``counts``: ``version``, ``files``
    and ``bytes`` of the backup, ``copied`` (files that the vault did not have), ``removed`` backups.

    Raises:
        BadInput: there is no champion, or the vault lies within the store.
        Corrupt: something of the champion is missing or altered in the store; earlier backups stay.
        StoreError: one of the stores does not answer, or two backups at once were in each other's way.
    """
    require_apart(context.store, vault.store)
    registry = Registry(context.catalog, context.corpus.corpus)
    champion = registry.champion()
    if champion is None:
        raise BadInput(f"corpus {registry.corpus} has no champion yet: run `nightshift promote` first")
    vault.finish_removals()
    try:
        collection = collect(context.catalog, registry, champion)
        mark = fingerprint(STEP.code(), "", collection.inputs)
        folder = vault.folder(champion.version, mark)
        done = _intact(vault, folder, verify=verify)
        made, copied = done, 0
        for _ in range(_TRIES if done is None else 0):
            known = {} if verify else _etags(vault.backups()[0])
            copied += _copy(context, vault, folder, champion, collection, mark, known, at)
            # Another backup may have removed what was found here, before this inventory said that it is needed.
            made = _intact(vault, folder, verify=False)
            if made is not None:
                break
    except Corrupt as error:
        raise Corrupt(
            f"version {champion.version} of {registry.corpus} cannot be backed up: {error}. Earlier backups stay; "
            f"`nightshift restore --corpus {registry.corpus} --version {champion.version}` brings back what they hold"
        ) from error
    if made is None:
        raise StoreError(
            f"the backup of version {champion.version} of {registry.corpus} lost objects {_TRIES} times while it was "
            "made: another backup is at work. Run it again, one at a time"
        )
    remember(registry, made.version, vault, made, at)
    removed = vault.thin(context.corpus.backup.keep, spare=folder)
    if removed:
        context.log.info("removed old backups", folders=removed)
    return _result(vault, made, copied=copied, removed=len(removed), noop=done is not None)


def _intact(vault: Vault, folder: str, *, verify: bool) -> Backup | None:
    try:
        made = vault.backup(folder)
        if made is not None and verify:
            vault.verify(made)
    except Corrupt:
        return None  # what is altered is copied anew from what the store holds
    return made if made is not None and not vault.catalog.damaged(made.manifest) else None


def _copy(
    context: Context,
    vault: Vault,
    folder: str,
    version: Version,
    collection: Collection,
    mark: str,
    known: dict[str, str],
    at: datetime,
) -> int:
    """Copy what the vault lacks and commit the inventory; how many files were copied."""
    unique = {original.sha256: original for original in collection.originals}
    progress = Progress(context.log, "bytes", sum(original.size for original in unique.values()))
    files, copied = [], 0
    for original in unique.values():
        entry, was_copied = vault.keep(context.store, original, known.get(original.sha256))
        files.append(entry)
        copied += was_copied
        progress.advance(original.size)
    manifest = Manifest(
        step=STEP.name,
        corpus=version.corpus,
        partition=str(version.version),
        fingerprint=mark,
        code=STEP.code(),
        config="",
        inputs=collection.inputs,
        files=tuple(files),
        counts={"version": version.version, "files": len(files), "bytes": sum(entry.size for entry in files)},
        details={
            "version": version.version,
            "model": version.digest,
            "made": at.isoformat(timespec="milliseconds"),
            "places": {original.key: original.sha256 for original in collection.originals},
        },
        volatile={"store": context.store.url},
    )
    vault.catalog.commit(folder, manifest)
    return copied


def _etags(backups: Iterable[Backup]) -> dict[str, str]:
    """ETags of objects that were read back once, by sha256."""
    return {entry.sha256: entry.etag for backup in backups for entry in backup.manifest.files}


def remember(registry: Registry, version: int, vault: Vault, made: Backup, at: datetime) -> None:
    """Let the registry know where a version's verified backup is."""
    url = vault.catalog.url(made.folder)
    known = registry.backed(version)
    if known is not None and known.url == url and known.verified:
        return
    registry.set_backed(
        Backed(
            version=version,
            url=url,
            files=made.manifest.counts["files"],
            bytes=made.manifest.counts["bytes"],
            verified=True,
            at=at.isoformat(timespec="seconds"),
        )
    )


def _result(vault: Vault, made: Backup, *, copied: int, removed: int, noop: bool) -> StepResult:
    return StepResult(
        step=STEP.name,
        corpus=vault.corpus,
        manifest=vault.catalog.url(made.folder),
        noop=noop,
        counts={**made.manifest.counts, "copied": copied, "removed": removed, "verified": True},
        message=f"version {made.version} is backed up"
        + (" and intact since " + made.made if noop else f", {copied} file(s) copied and read back"),
    )


@step_command("backup", partition=False)
@click.option("--backup", "url", help="URL of the backup store.  [default: $NIGHTSHIFT_BACKUP]")
@click.option("--verify", is_flag=True, help="Read every file of the backup again, and copy damaged ones anew.")
def command(context: Context, url: str | None, verify: bool) -> StepResult:
    """Copy the champion, its data and the registry to the backup store, and read them back."""
    return backup(context, open_vault(context, url), at=datetime.now(UTC), verify=verify)
