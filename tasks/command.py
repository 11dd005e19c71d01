"""What every ``nightshift`` command shares: options, context, result, exit codes."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import click
import structlog

from tasks import log
from tasks.catalog import Catalog
from tasks.config import Corpus, load_corpus, parse_corpus
from tasks.disk import disk_full
from tasks.errors import BadInput, NightshiftError
from tasks.result import leave_result
from tasks.step import Context, Shard, StepResult
from tasks.store import open_store


class PartitionType(click.ParamType[str]):
    """A day, ``YYYY-MM-DD``."""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if date.fromisoformat(value).isoformat() == value:  # that function reads 20261120 and 2026-W47-5 too
                return str(value)
        except ValueError:
            pass
        self.fail(f"{value!r} is not a day: expected YYYY-MM-DD, as in 2026-11-20", param, ctx)


class ShardType(click.ParamType[Shard]):
    """A shard, ``index/count``."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Shard:
        if isinstance(value, Shard):
            return value
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", value)
        if not match or int(match[1]) >= int(match[2]):
            self.fail(f"{value!r} is not a shard: expected index/count counted from 0, as in 0/4", param, ctx)
        return Shard(int(match[1]), int(match[2]))


VARIABLE = "env:"
"""``--corpus env:NAME``: the YAML itself is in that variable, as a pod gets it."""


def given_corpus(given: str) -> Corpus:
    """The corpus of ``--corpus``: a file, a name in the folder of ``NIGHTSHIFT_CORPORA``, or ``env:NAME``.

    Raises:
        BadInput: there is none, or it is wrong.
    """
    if not given.startswith(VARIABLE):
        return load_corpus(corpus_path(given), os.environ)
    name = given.removeprefix(VARIABLE)
    text = os.environ.get(name)
    if not text:
        raise BadInput(f"--corpus {given}: no corpus YAML in the environment variable {name}")
    return parse_corpus(text, Path(given), os.environ)


def corpus_path(name_or_file: str) -> Path:
    """The YAML of ``--corpus``: a file as given, or a name in the folder of ``NIGHTSHIFT_CORPORA``.

    Raises:
        BadInput: no corpus of that name; names the ones there are.
    """
    if name_or_file.endswith((".yaml", ".yml")):
        return Path(name_or_file)
    folder = Path(os.environ.get("NIGHTSHIFT_CORPORA") or "dags/corpora")
    path = folder / f"{name_or_file}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in folder.glob("*.yaml"))) or "none"
        raise BadInput(f"no corpus {name_or_file!r} in {folder.absolute()} (NIGHTSHIFT_CORPORA); known: {known}")
    return path


def step_command(step: str, *, partition: bool = True) -> Callable[[Callable[..., StepResult]], click.Command]:
    """Decorator: a function ``(context, [partition], **options) -> StepResult`` as ``nightshift <step>``.

    Adds ``--corpus``, ``--partition`` (unless ``partition=False``), ``--store`` and ``--json``; opens
    the store, binds the log, times the call, prints the result, and turns errors into exit codes.
    """

    def decorate(function: Callable[..., StepResult]) -> click.Command:
        @functools.wraps(function)
        def run(corpus: str, store: str | None, as_json: bool, **options: Any) -> None:
            def work() -> StepResult:
                loaded = given_corpus(corpus)
                context = make_context(loaded, store, step=step, **_bound(options))
                started = time.monotonic()
                result = function(context, **options)
                return replace(result, seconds=time.monotonic() - started)

            finish(step, work, as_json=as_json)

        run = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on the last line.")(run)
        run = click.option(
            "--store",
            help="s3://bucket/prefix or file:///folder.  [default: $NIGHTSHIFT_STORE]",
            envvar="NIGHTSHIFT_STORE",
        )(run)
        if partition:
            run = click.option("--partition", required=True, type=PartitionType(), help="The day.")(run)
        run = click.option("--corpus", required=True, help="A corpus name, or its YAML file.")(run)
        return click.command(step)(run)

    return decorate


def make_context(corpus: Corpus, store_url: str | None, **bound: Any) -> Context:
    """The context of one command.

    Raises:
        BadInput: no store was given.
    """
    if not store_url:
        raise BadInput("no store: give --store or set NIGHTSHIFT_STORE, as in file:///tmp/nightshift")
    store = open_store(store_url, os.environ)
    logger = structlog.get_logger().bind(corpus=corpus.corpus, **bound)
    return Context(corpus=corpus, store=store, catalog=Catalog(store), log=logger, env=os.environ)


def finish(step: str, work: Callable[[], StepResult | dict[str, Any]], *, as_json: bool) -> None:
    """Run ``work``, print its result, and end the process with the exit code of its error, if any.

    What is no ``NightshiftError``, nor a full disk, is a crash: it goes on, so that Python shows where, and exits 1. A
    SIGTERM unwinds ``work``, so that no scratch folder outlives it, and exits 143.
    """
    log.configure(as_json=os.environ.get("NIGHTSHIFT_LOG") == "json")
    logger = structlog.get_logger().bind(step=step)
    try:
        with _unwound_by_sigterm(), _named_if_disk_full():
            result = work()
    except NightshiftError as error:
        logger.error("failed", error=type(error).__name__)
        click.echo(f"{type(error).__name__}: {error}", err=True)
        _show_failure(step, error, as_json)
        sys.exit(error.exit_code)
    except Exception as error:
        logger.error("crashed", error=type(error).__name__)
        _show_failure(step, error, as_json)
        raise
    values = result.to_json() if isinstance(result, StepResult) else result
    leave_result(values, os.environ.get("NIGHTSHIFT_RESULT_FILE"))
    if as_json:
        click.echo(json.dumps(values, ensure_ascii=False))
    else:
        _show(values)


@contextmanager
def _named_if_disk_full() -> Iterator[None]:
    try:
        yield
    except NightshiftError:
        raise
    except Exception as error:
        if (full := disk_full(error)) is None:
            raise
        raise full from error


@contextmanager
def _unwound_by_sigterm() -> Iterator[None]:
    """Let a SIGTERM leave through every ``with`` and ``finally``, once: a second must not cut the unwinding short."""
    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return

    def leave(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show_failure(step: str, error: Exception, as_json: bool) -> None:
    failure = {"step": step, "error": {"type": type(error).__name__, "message": str(error)}}
    leave_result(failure, os.environ.get("NIGHTSHIFT_RESULT_FILE"))
    if as_json:
        click.echo(json.dumps(failure, ensure_ascii=False))


def _bound(options: dict[str, Any]) -> dict[str, str]:
    return {k: str(options[k]) for k in ("partition", "shard", "snapshot", "run") if options.get(k) is not None}


def _show(values: dict[str, Any]) -> None:
    click.echo(f"{values['step']}: {'unchanged, nothing to do' if values.get('noop') else 'done'}")
    for key, value in values.items():
        if key in ("step", "noop") or value in (None, "", {}, []):
            continue
        if isinstance(value, dict):
            for name, number in value.items():
                click.echo(f"  {name}: {number}")
        else:
            click.echo(f"  {key}: {value}")
