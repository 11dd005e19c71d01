"""``nightshift restore``: bring a champion back from a backup, or prove every week that it would come back."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from tasks.backup import open_vault, remember
from tasks.backups.bring import Bringer
from tasks.backups.vault import Backup, Vault, require_apart
from tasks.command import step_command
from tasks.errors import BadInput, Corrupt
from tasks.model_registry import Head, Registry, Version
from tasks.model_registry.change import Change, crown
from tasks.step import Context, Step, StepResult

STEP = Step("restore", version=1)


def restore(
    context: Context, vault: Vault, *, version: int | None, by: str, at: datetime, force: bool = False
) -> StepResult:
    """Bring a backup (the newest, or the newest of ``version``) into the context's store and make it champion.

    All of the backup is read and checked before anything is written. Into an empty store comes everything
    that the vault holds of it, the registry's history included; in a store of the same history what is
    missing or damaged is mended; a store with another champion is left alone unless ``force``: then the
    version becomes its champion, under a new number if the histories differ. Tried again after a kill, it
    goes on. ``counts``: ``version``, ``files`` and ``bytes`` of the backup, ``written``.

    Raises:
        BadInput: there is no such backup, the store has another champion, or is the vault itself.
        Corrupt: names every damaged object of the backup.
        StoreError: a store, or MLflow, does not answer.
    """
    require_apart(context.store, vault.store)
    backup = choose(vault, version)
    vault.verify(backup)
    registry = Registry(context.catalog, context.corpus.corpus)
    bringer = Bringer(vault, backup, context.catalog, registry)
    kept = bringer.version()
    kinship = bringer.kinship()
    if not force:
        _require_room(registry, kept, safe=not (kinship.foreign or kinship.ahead))

    bringer.bring_data(context.log)
    if not kinship.foreign:
        bringer.bring_registry()
    ours = registry.add(kept)
    head = registry.head()
    change = Change("restore", by, at, f"from {vault.catalog.url(backup.folder)}")
    anew = bringer.written > 0 or _interrupted(registry, head)
    changed = crown(context, registry, ours, change, after=head, anew=anew)
    remember(registry, ours.version, vault, backup, at)
    return StepResult(
        step=STEP.name,
        corpus=registry.corpus,
        manifest=context.catalog.url(ours.folder),
        noop=not changed,
        counts={**backup.manifest.counts, "version": ours.version, "written": bringer.written, "verified": True},
        message=f"version {ours.version} is the champion"
        + (f", restored from the backup of {backup.made}" if changed else " already, and intact"),
    )


def choose(vault: Vault, version: int | None) -> Backup:
    """The newest backup, or the newest of a version.

    Raises:
        BadInput: there is none.
        Corrupt: an inventory cannot be read, so that nobody knows which is the newest.
    """
    good, bad = vault.backups()
    versions = ", ".join(str(each) for each in sorted({backup.version for backup in good})) or "none"
    if version is None and bad:
        raise Corrupt(
            "; ".join(bad) + f". The newest backup of {vault.corpus} may be among these: "
            f"name the version that you want with --version (readable: {versions})"
        )
    for backup in good:
        if version in (None, backup.version):
            return backup
    wanted = "" if version is None else f" of version {version}"
    raise BadInput(f"{vault.store.url} holds no backup{wanted} of corpus {vault.corpus}; versions there: {versions}")


def _require_room(registry: Registry, kept: Version, *, safe: bool) -> None:
    """Refuse a store whose champion is another one, unless its registry is but a part of the backup's."""
    if safe:
        return
    try:
        champion = registry.champion()
    except Corrupt as error:
        raise BadInput(
            f"this store's registry of {registry.corpus} is damaged and has records that the backup has not. Nothing "
            f"was written; --force mends what the backup holds. {error}"
        ) from error
    if champion is not None and (champion.run, champion.digest) != (kept.run, kept.digest):
        raise BadInput(
            f"version {champion.version} (run {champion.run}) is the champion of {registry.corpus} in this store; the "
            f"backup holds version {kept.version} (run {kept.run}). Nothing was written. Give an empty store, or "
            "--force to make the backup's version champion here; `nightshift rollback` would do if it is still here"
        )


def _interrupted(registry: Registry, head: Head) -> bool:
    """Whether a restore was killed after its last file and before its record."""
    return not head.pointed and registry.audit(head.sequence).action != "restore"


@step_command("restore", partition=False)
@click.option("--version", type=int, help="Which version.  [default: the newest backup]")
@click.option("--from", "url", help="URL of the backup store.  [default: $NIGHTSHIFT_BACKUP]")
@click.option("--force", is_flag=True, help="Also into a store that has another champion.")
@click.option(
    "--drill",
    is_flag=True,
    help="Instead: restore beside production, score the champion there, compare, and throw it away.",
)
@click.option("--by", default="command line", show_default=True, help="Who, for the audit record.")
def command(context: Context, version: int | None, url: str | None, force: bool, drill: bool, by: str) -> StepResult:
    """Bring a champion back from a backup into --store.

    \b
    nightshift restore --corpus docs --from s3://nightshift-backup --store s3://empty
    nightshift restore --corpus docs --drill
    """
    vault = open_vault(context, url)
    if drill:
        from tasks.backups.drill import rehearse

        return rehearse(context, vault, version=version, at=datetime.now(UTC))
    return restore(context, vault, version=version, by=by, at=datetime.now(UTC), force=force)
