"""``nightshift extract``: the main text of HTML files, to look at it or to measure an extraction."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import click

from tasks.command import finish


@click.command("extract")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The folder for the text files.")
@click.option(
    "--mode",
    type=click.Choice(["fast", "accurate", "auto", "article"]),
    default="auto",
    show_default=True,
    help="As `clean.extraction` in a corpus YAML.",
)
@click.option("--workers", type=click.IntRange(1, 512), help="Processes that parse pages.  [default: one a core]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on the last line.")
def command(
    paths: tuple[Path, ...],
    output: Path,
    mode: Literal["fast", "accurate", "auto", "article"],
    workers: int | None,
    as_json: bool,
) -> None:
    """The main text of pages, one .txt each: PATHS are HTML or HTML.gz files, or folders of them.

    \b
    nightshift extract --mode auto --output texts/ pages/

    A page that has no text, or that cannot be parsed, makes an empty file and is counted by its reason.
    """

    def work() -> dict[str, Any]:
        from tasks.cleaning.pages import extract_files

        return extract_files(paths, output, mode, workers=workers or os.cpu_count() or 1)

    finish("extract", work, as_json=as_json)
