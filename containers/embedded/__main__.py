"""``python -m containers.embedded``: what ``make up``, ``make down`` and ``make demo`` run."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar

import click
from rich.console import Console

from containers.embedded import background
from containers.embedded.airflow import ROOT
from containers.embedded.claim import Claim
from containers.embedded.stack import ENVIRONMENT, Stack
from tasks.errors import NightshiftError

HOME = ROOT / "build" / "stack"
SUMMARY = ROOT / "build" / "demo" / "summary.json"

T = TypeVar("T")
home_option = click.option("--home", type=click.Path(path_type=Path), default=HOME, help="Folder of the stack.")


@click.group()
def main() -> None:
    """The embedded stack: S3, MLflow, Airflow and a site to crawl, as processes of this machine."""
    # SIGTERM ends the stack as Ctrl-C does: through every `finally`. A terminal that is closed, too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


@main.command()
@click.option("--corpus", default="docs", show_default=True)
@click.option("--keep", is_flag=True, envvar="KEEP", help="Leave the stack up at the end.")
@click.option("--out", type=click.Path(path_type=Path), default=SUMMARY, help="Where the summary goes.")
@home_option
def demo(corpus: str, keep: bool, out: Path, home: Path) -> None:
    """Run the main job: ingest today, retrain, promote, back up.

    It uses the stack that runs; without one it starts one, and stops it at the end.
    """
    from containers.embedded.demo import run_demo

    started, console = time.monotonic(), Console()
    kept = keep or Claim(home).holder() is not None
    stack: Stack | None = None
    code = 1
    try:
        with console.status("starting S3, MLflow, Airflow and the site to crawl, if there is one"):
            if kept:
                stack = background.up(home)
            else:
                stack = Stack(home)
                stack.start(site=stack.reads_site(corpus))
        console.print(f"The stack is up after {time.monotonic() - started:.0f} s. Web UI: {stack.rest.url}")
        code = run_demo(stack, corpus, out, console, started=started)
    except KeyboardInterrupt:
        code = 130
        console.print("\nInterrupted. What was committed is kept, and the next run goes on from there.")
    except NightshiftError as error:
        console.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
    finally:
        if stack is not None and not kept:
            with console.status("stopping the stack"):
                stack.stop()
    if stack is not None:
        stays = "The stack stays up; `make down` ends it."
        stopped = "The stack is stopped; `make up` starts it again, with all that the demo made."
        console.print(stays if kept else stopped)
    sys.exit(code)


@main.command()
@home_option
def up(home: Path) -> None:
    """Start the stack in the background."""
    console = Console()
    with console.status("starting S3, MLflow, Airflow and the demo site"):
        stack = _or_fail(lambda: background.up(home))
    console.print(f"Airflow    {stack.rest.url}")
    for name, service in (("MLflow", "mlflow"), ("S3", "s3"), ("demo site", "site")):
        console.print(f"{name:<10} {stack.settings.url(service)}")
    console.print(f"to use it from a shell: . {os.path.relpath(stack.home / ENVIRONMENT)}", soft_wrap=True)


@main.command()
@home_option
def down(home: Path) -> None:
    """Stop the stack, whoever started it."""
    ended = _or_fail(lambda: background.down(home))
    click.echo("the stack is stopped" if ended else "the stack is not running")


@main.command(hidden=True)
@home_option
def serve(home: Path) -> None:
    """Hold the stack up until SIGTERM; what ``up`` leaves behind."""
    try:
        _or_fail(lambda: background.serve(home))
    except KeyboardInterrupt:
        sys.exit(0)


def _or_fail(work: Callable[[], T]) -> T:
    try:
        return work()
    except NightshiftError as error:
        raise click.ClickException(str(error)) from error


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
