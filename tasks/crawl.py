"""``nightshift crawl``: bring one partition's raw input from its source."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from tasks.catalog import Catalog, Manifest, fingerprint
from tasks.clean import shard_count
from tasks.command import step_command
from tasks.config import Corpus
from tasks.errors import BadInput
from tasks.section import Choice, digest_of
from tasks.sources.base import SOURCES, Source, Target
from tasks.step import Context, Step, StepResult

STEP = Step(name="crawl", version=1)

ORIGINS = ("auto", "live", "history")


def folder_of(corpus: str, partition: str) -> str:
    """Where a partition's raw input lies on the store."""
    return f"raw/{corpus}/{partition}"


def crawl(context: Context, partition: str, *, today: date, origin: str = "auto", force: bool = False) -> StepResult:
    """Commit ``raw/<corpus>/<partition>`` from ``source.live`` or ``source.history``.

    ``today``: the current day in the schedule's timezone. ``origin``: ``live``, ``history``, or
    ``auto``: live for today, history for past days. A partition made from the same input and
    configuration is left as it is, and a crawl of the live web is final once committed, unless ``force``.

    Raises:
        BadInput: the corpus has no such source, or it cannot bring that day.
    """
    folder = folder_of(context.corpus.corpus, partition)
    catalog = context.catalog
    committed = catalog.current(folder)
    if committed and catalog.damaged(committed):
        context.log.warning("committed files are missing or altered: making the partition again")
        committed = None

    def unfinished(source: Source, config: str) -> bool:
        return committed is None and source.unfinished(context, folder, config)

    if not force and committed and origin != "history" and _final(committed):
        if context.corpus.source.live:
            _built(context.corpus.source.live).tidy(context, folder)
        message = "recorded live and final; --force crawls today's web again"
        return _result(context, partition, committed, noop=True, message=message)

    chosen, choice = choose(context.corpus, partition, today=today, origin=origin, unfinished=unfinished)
    source = _built(choice)
    config = _config(chosen, choice)
    if committed and not force:
        inputs = source.inputs(context, partition, committed.volatile)
        if fingerprint(STEP.code(), config, inputs) == committed.fingerprint:
            return _result(context, partition, committed, noop=True, message="same source files and configuration")

    if force:
        source.tidy(context, folder)
    context.log.info("crawl", source=choice.name, origin=chosen)
    with tempfile.TemporaryDirectory(prefix="nightshift-crawl-") as scratch:
        harvest = source.fetch(Target(context, folder, partition, config, Path(scratch)))
        manifest = Manifest(
            step=STEP.name,
            corpus=context.corpus.corpus,
            partition=partition,
            fingerprint=fingerprint(STEP.code(), config, harvest.inputs),
            code=STEP.code(),
            config=config,
            inputs=tuple(harvest.inputs),
            files=tuple(harvest.files),
            counts=harvest.counts,
            details={**harvest.details, "origin": chosen},
            volatile=harvest.volatile,
        )
        catalog.commit(folder, manifest)
    source.tidy(context, folder)
    return _result(context, partition, manifest, message=f"{choice.name}, {chosen}")


def choose(
    corpus: Corpus, partition: str, *, today: date, origin: str, unfinished: Callable[[Source, str], bool]
) -> tuple[str, Choice]:
    """``live`` or ``history`` for a partition, and the source of the YAML that it means.

    Raises:
        BadInput: the corpus has no such source, or today's state would be recorded as another day's.
    """
    live, history = corpus.source.live, corpus.source.history
    if date.fromisoformat(partition) > today:
        raise BadInput(f"corpus {corpus.corpus}: {partition} has not come yet: today is {today}")
    its_day = live is not None and (partition == today.isoformat() or unfinished(_built(live), _config("live", live)))
    any_day = live is not None and _built(live).replayable
    if origin == "auto":
        origin = "live" if its_day or (any_day and history is None) else "history"
    if origin == "history":
        if history is None:
            raise BadInput(
                f"corpus {corpus.corpus}: no source.history to bring {partition} from, and the live source "
                f"would record today's web as the past (today is {today}). {_remedy(corpus, partition, today)}"
            )
        return origin, history
    if live is None:
        raise BadInput(f"corpus {corpus.corpus} has no source.live: add it, or use --origin history")
    if not (its_day or any_day):
        raise BadInput(
            f"corpus {corpus.corpus}: a live {live.name} of {partition} would record today's web as the past "
            f"(today is {today}). {_remedy(corpus, partition, today)}"
        )
    return origin, live


def _remedy(corpus: Corpus, partition: str, today: date) -> str:
    """What to do about a day that the live source may not bring."""
    if corpus.source.history:
        bring = "Bring it by --origin history or a backfill"
    else:
        bring = f"Add source.history to {corpus.corpus}.yaml to bring it"
    if partition == today.isoformat():
        return f"{bring}, or use --origin live"
    return (
        f"If this was its nightly run, that night was missed: it started after midnight. {bring}, or leave "
        "it: the next night's crawl brings what changed since the last one"
    )


def _built(choice: Choice) -> Source:
    source: Source = SOURCES.get(choice.name)(choice.params)
    return source


def _config(origin: str, choice: Choice) -> str:
    """Digest of what in the YAML shapes the partition."""
    return digest_of({"origin": origin, "source": choice.name, "shape": _built(choice).shape()})


def _final(committed: Manifest) -> bool:
    """Whether a partition cannot be made again: it recorded what was there on that day only."""
    return committed.details.get("origin") == "live" and not committed.inputs


def _result(
    context: Context, partition: str, manifest: Manifest, *, noop: bool = False, message: str = ""
) -> StepResult:
    return StepResult(
        step=STEP.name,
        corpus=context.corpus.corpus,
        partition=partition,
        manifest=Catalog(context.store).url(folder_of(context.corpus.corpus, partition)),
        noop=noop,
        # Cleaning is mapped over so many tasks: whoever plans them need not read the store.
        counts={**manifest.counts, "shards": shard_count(context.corpus, manifest)},
        message=message,
    )


@step_command("crawl")
@click.option(
    "--origin",
    type=click.Choice(ORIGINS),
    default="auto",
    show_default=True,
    help="Where from: source.live, source.history, or auto: live for today, history for past days.",
)
@click.option("--force", is_flag=True, help="Bring it again even if it is committed.")
def command(context: Context, partition: str, **options: Any) -> StepResult:
    """Bring one partition's raw input from its source."""
    schedule = context.corpus.schedule
    today = datetime.now(ZoneInfo(schedule.timezone if schedule else "UTC")).date()
    return crawl(context, partition, today=today, **options)
