"""``nightshift promote``: make the candidate that passed its gate the champion."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version as installed
from typing import Any

import click

from tasks.catalog import Manifest
from tasks.command import step_command
from tasks.errors import BadInput, GateFailed
from tasks.judging.base import measures_of
from tasks.model_registry import Champion, Registry, Version
from tasks.model_registry.change import Change, crown
from tasks.step import Context, Step, StepResult
from tasks.training import Training
from tasks.training.work import open_training

STEP = Step("promote", version=1)


def promote(context: Context, training: Training, *, by: str, at: datetime) -> StepResult:
    """Register the candidate of a training and make it the champion; nothing to do when it is.

    Killed at any moment and tried again, it ends in one version, one audit record and one champion
    (``model_registry.change`` says why).

    Raises:
        BadInput: the candidate was not merged, evaluated or put before its gate, or was compared with
            another champion than the present one.
        GateFailed: its gate rejected it and nobody released it.
        Corrupt: a file of the model is missing or altered.
        StoreError: the store or MLflow does not answer, or another promotion came in between.
    """
    corpus = context.corpus.corpus
    named = f"--corpus {corpus} --snapshot {training.snapshot_id}"
    registry = Registry(context.catalog, corpus)
    head = registry.head()
    candidate = context.catalog.load(training.model(), made_by=f"merge {named}")
    context.catalog.require_intact(candidate, made_by=f"merge {named}")
    report = context.catalog.load(training.report(), made_by=f"evaluate {named}")
    known = head.champion is not None and head.champion.digest == candidate.digest()
    if not known:
        _require_passed(context, training, candidate, report)
        _require_same_rival(report, head.champion, named)

    if known and head.champion:
        version = head.champion
    else:
        version = registry.add(_version(context, training, candidate, report, at))
    changed = crown(context, registry, version, Change("promote", by, at), after=head)
    was = f" in place of version {head.champion.version}" if head.champion and not known else ""
    return _result(
        context,
        version,
        noop=not changed,
        message=f"version {version.version} is the champion" + (was if changed else " already"),
    )


def _version(context: Context, training: Training, candidate: Manifest, report: Manifest, at: datetime) -> Version:
    return Version(
        version=0,  # the registry numbers it
        corpus=context.corpus.corpus,
        run=training.run,
        folder=training.model(),
        digest=candidate.digest(),
        report=training.report(),
        report_digest=report.digest(),
        snapshot=training.snapshot_id,
        snapshot_digest=training.snapshot.digest(),
        recipe=candidate.details["recipe"],
        label=context.corpus.train.label,
        metrics=report.details["metrics"],
        code=_code(candidate),
        search=candidate.details.get("search"),
        created=at.isoformat(timespec="seconds"),
    )


def _code(candidate: Manifest) -> dict[str, Any]:
    return {"nightshift": installed("nightshift"), "merge": candidate.code, "recipe": candidate.details["code"]}


def _require_passed(context: Context, training: Training, candidate: Manifest, report: Manifest) -> None:
    corpus = context.corpus.corpus
    gate = context.catalog.current(f"gates/{corpus}/model/{training.run}")
    seen = {each.digest for each in gate.inputs} if gate else set()
    if gate is None or not {candidate.digest(), report.digest()} <= seen:
        judged = "was judged by its gate before it was last merged or evaluated" if gate else "was not judged by a gate"
        raise BadInput(
            f"the candidate of run {training.run} ({corpus}) {judged}: "
            f"run `nightshift gate model --corpus {corpus} --snapshot {training.snapshot_id}` first"
        )
    # A release lifts the quarantine, but the gate's own verdict stays on record.
    record = context.catalog.quarantine.find(candidate)
    if not gate.details["passed"] and (record is None or record.released is None):
        raise GateFailed(
            f"the candidate of run {training.run} ({corpus}) failed gate model: {'; '.join(gate.details['failures'])}. "
            f"If it is right after all: nightshift release --corpus {corpus} --partition {training.run} "
            "--stage model --reason '…'"
        )


def _require_same_rival(report: Manifest, champion: Champion | None, named: str) -> None:
    """Refuse a candidate that was found good enough beside another champion than the one it would replace."""
    if champion is None:
        return
    rival = report.details["champion"]
    if rival is None or rival["version"] != champion.version:
        beside = f"version {rival['version']}" if rival else "no champion"
        raise BadInput(
            f"the candidate of {champion.corpus} was compared with {beside}, but version {champion.version} is the "
            f"champion now: run `nightshift evaluate {named}` and `nightshift gate model {named}`, then promote"
        )


def _result(context: Context, version: Version, *, noop: bool, message: str) -> StepResult:
    validation = version.metrics["validation"]
    return StepResult(
        step=STEP.name,
        corpus=version.corpus,
        manifest=context.catalog.url(version.folder),
        noop=noop,
        counts={"version": version.version, **{m.name: validation[m.name] for m in measures_of(validation)}},
        message=message,
    )


@step_command("promote", partition=False)
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
@click.option("--by", default="command line", show_default=True, help="Who or what promotes, for the audit record.")
def command(context: Context, snapshot: str, by: str) -> StepResult:
    """Make the candidate trained on a snapshot the champion, if its gate passed."""
    return promote(context, open_training(context, snapshot), by=by, at=datetime.now(UTC))
