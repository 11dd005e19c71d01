"""Let a quarantined partition or model pass, by hand, with a reason that is kept."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import click

from tasks.catalog import Manifest, Release
from tasks.command import step_command
from tasks.errors import BadInput
from tasks.gate import BY_PARTITION, BY_SNAPSHOT
from tasks.step import Context, StepResult


def release(context: Context, stage: str, name: str, *, reason: str, by: str, at: datetime) -> StepResult:
    """Release what gate ``stage`` rejected of a partition or training ``name``.

    Raises:
        BadInput: there is nothing of that name, it is not quarantined, or the reason is empty.
    """
    from data_contracts.base import SUITES

    on_trial = SUITES.get(stage).reads(context, name)[0]
    record = context.catalog.quarantine.release(
        _still_rejected(context, on_trial.manifest, stage), Release(by=by, reason=reason, at=at.isoformat())
    )
    return StepResult(
        step="release",
        corpus=context.corpus.corpus,
        partition=name,
        manifest=context.catalog.url(on_trial.folder),
        counts={"failures": len(record.failures)},
        message=f"gate {stage} of {name} is released by {by}: {reason}",
    )


def _still_rejected(context: Context, manifest: Manifest, stage: str) -> Manifest:
    record = context.catalog.quarantine.find(manifest)
    if record is not None and record.stage != stage:
        raise BadInput(f"{manifest.corpus} {manifest.partition} was rejected by gate {record.stage}, not {stage}")
    return manifest


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        # In a container a user is often a number alone, which would tell nobody who it was.
        raise click.UsageError("this user has no name here: say with --by who releases it") from error


@step_command("release", partition=False)
@click.option("--partition", "name", required=True, help="The day, or the id of the training.")
@click.option("--stage", required=True, type=click.Choice([*BY_PARTITION, *BY_SNAPSHOT]))
@click.option("--reason", required=True, help="Why it may pass: kept with the record.")
@click.option("--by", default=_user, help="Who releases it.  [default: the user]")
def command(context: Context, name: str, stage: str, reason: str, by: str) -> StepResult:
    """Let a quarantined partition or model pass. Its gate passes when it is run again."""
    return release(context, stage, name, reason=reason, by=by, at=datetime.now(UTC))
