"""``nightshift check``: is a corpus YAML right, before Airflow sees it?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from tasks.command import finish
from tasks.config import load_corpus
from tasks.errors import BadInput


def check(paths: tuple[Path, ...]) -> list[str]:
    """Every fault of every file, one line each; empty when all are right."""
    faults: list[str] = []
    for path in paths:
        try:
            load_corpus(path, os.environ)
        except BadInput as error:
            faults.extend(str(error).splitlines())
    return faults


@click.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on the last line.")
def command(files: tuple[Path, ...], as_json: bool) -> None:
    """Check corpus YAML FILES; exit 2 and name every fault if any is wrong."""

    def work() -> dict[str, Any]:
        faults = check(files)
        if faults:
            raise BadInput("\n".join(faults))
        return {"step": "check", "files": len(files), "message": "every file is right"}

    finish("check", work, as_json=as_json)
