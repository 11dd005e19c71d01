"""What docs/operations.md tells a person to type is what the commands take."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tasks.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
COMMANDS = re.findall(r"^ {4}(nightshift .+)$", PAGE.read_text(), re.MULTILINE)


def test_there_are_commands_on_the_page() -> None:
    assert {line.split()[1] for line in COMMANDS} == {
        *("rollback", "release", "promote", "backup", "restore", "predict", "sample", "stats", "filter")
    }


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_is_understood(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    with click.Context(main) as parent:
        command = main.get_command(parent, name)
        assert command is not None
        command.make_context(name, arguments, parent=parent)  # raises for an option that there is not


def test_every_link_within_the_page_leads_somewhere() -> None:
    text = PAGE.read_text()
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings
