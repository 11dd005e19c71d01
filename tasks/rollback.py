"""``nightshift rollback``: make an earlier version the champion again."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from tasks.command import step_command
from tasks.errors import BadInput, Corrupt
from tasks.judging.base import said
from tasks.model_registry import Registry, Version
from tasks.model_registry.change import Change, crown
from tasks.step import Context, Step, StepResult
from tasks.training import recipe_of

STEP = Step("rollback", version=1)


def rollback(context: Context, *, to: int | None, reason: str, by: str, at: datetime) -> StepResult:
    """Make ``to`` the champion, or the version that was in use before the present one.

    Without ``to`` a second rollback goes one further back, not forth again; but one that was interrupted
    is completed first, and nothing more: so that trying again does not go back twice.

    Raises:
        BadInput: there is no champion, no earlier one, no version of that number, or none here that reads its model:
            it would not predict.
        Corrupt: a file of that version's model is missing or altered: it would not predict.
        StoreError: the store or MLflow does not answer, or another change came in between.
    """
    registry = Registry(context.catalog, context.corpus.corpus)
    head = registry.head()
    if head.champion is None:
        raise BadInput(f"corpus {registry.corpus} has no champion yet: there is nothing to roll back")
    change = Change("rollback", by, at, reason)
    back = registry.audit(head.sequence).action == "rollback"
    if to is None and back and crown(context, registry, head.champion, change, after=head):
        said = f"completed the interrupted rollback to version {head.champion.version}"
        return _result(context, head.champion, noop=False, message=said)
    target = registry.version(to) if to is not None else _before(registry, head.champion)
    if target.version != head.champion.version:
        _require_readable(registry, target)
    changed = crown(context, registry, target, change, after=head)
    moved = target.version != head.champion.version
    said = f"in place of version {head.champion.version}" if moved else "already"
    return _result(context, target, noop=not changed, message=f"version {target.version} is the champion {said}")


def history(context: Context) -> StepResult:
    """Who made what the champion, when and why, and each version's validation metrics; changes nothing."""
    registry = Registry(context.catalog, context.corpus.corpus)
    head = registry.head()
    lines = []
    for each in registry.audits():
        why = f": {each.reason}" if each.reason else ""
        lines.append(f"{each.at}  {each.action} to version {each.version} by {each.by}{why}")
    for version in registry.versions():
        scores = version.metrics["validation"]
        backed = registry.backed(version.version)
        lines.append(
            f"version {version.version}: run {version.run}, {said(scores)}, "
            f"{f'backup {backed.url}' if backed else 'not backed up'}"
        )
    return StepResult(
        step=STEP.name,
        corpus=registry.corpus,
        manifest=context.catalog.url(head.champion.folder) if head.champion else "",
        noop=True,
        counts={"version": head.champion.version if head.champion else None},
        message="\n    ".join(["", *lines]) if lines else "no champion yet",
    )


def _before(registry: Registry, present: Version) -> Version:
    """The version in use before the present one was promoted; what was rolled back from does not count."""
    trail: list[int] = []
    for record in registry.audits():
        if record.version in trail:
            place = trail.index(record.version)
            del trail[place : place + 1 if record.action == "promote" else None]
        trail.append(record.version)
    if len(trail) < 2:
        known = ", ".join(str(each.version) for each in registry.versions())
        raise BadInput(
            f"corpus {registry.corpus} had no champion before version {present.version}; versions: {known}. "
            "Name one with --to"
        )
    return registry.version(trail[-2])


def _require_readable(registry: Registry, target: Version) -> None:
    try:
        recipe_of(registry.manifest(target))
    except BadInput as error:
        readable = ", ".join(str(each.version) for each in registry.versions() if _readable(registry, each))
        raise BadInput(
            f"version {target.version} of corpus {registry.corpus} would not predict: {error}. Versions that are read "
            f"here: {readable or 'none'}; name one with --to"
        ) from error


def _readable(registry: Registry, version: Version) -> bool:
    try:
        recipe_of(registry.manifest(version))
    except (BadInput, Corrupt):
        return False
    return True


def _result(context: Context, version: Version, *, noop: bool, message: str) -> StepResult:
    return StepResult(
        step=STEP.name,
        corpus=version.corpus,
        manifest=context.catalog.url(version.folder),
        noop=noop,
        counts={"version": version.version},
        message=message,
    )


@step_command("rollback", partition=False)
@click.option("--to", type=int, help="Version to go back to.  [default: the champion before this one]")
@click.option("--reason", default="", help="Why, for the audit record.")
@click.option("--by", default="command line", show_default=True, help="Who, for the audit record.")
@click.option("--list", "only_list", is_flag=True, help="Change nothing: show the versions, and every change so far.")
def command(context: Context, to: int | None, reason: str, by: str, only_list: bool) -> StepResult:
    """Make an earlier version the champion again. Nothing is deleted: the way forth is the same command."""
    if only_list:
        return history(context)
    return rollback(context, to=to, reason=reason, by=by, at=datetime.now(UTC))
