"""`nightshift extract`: pages to text files, and what becomes of pages that are none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tasks.cli import main
from tests.integration.test_clean_poison import faults  # noqa: F401

pytestmark = pytest.mark.integration

STORY = "The night train left the station at ten, and nobody on the platform waved."
PAGE = f"<html><title>Trains</title><ul><li><a href=/>Home of all the trains</a></ul><div><p>{STORY}</p></div></html>"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["extract", "--json", "--workers", "1", *map(str, arguments)])


def result(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return value


def written(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["fast", "accurate", "auto", "article"])
def test_files_and_folders_become_a_text_file_each(tmp_path: Path, mode: str) -> None:
    pages = tmp_path / "pages"
    (pages / "deep").mkdir(parents=True)
    (pages / "a.html").write_text(PAGE)
    (pages / "deep" / "b.HTM.gz").write_bytes(gzip.compress(PAGE.encode()))
    (pages / "notes.md").write_text("not a page")
    (tmp_path / "c.v2").write_text(PAGE)
    told = result(run("--mode", mode, "--output", tmp_path / "out", pages, tmp_path / "c.v2"))
    texts = written(tmp_path / "out")
    assert set(texts) == {"a.txt", "deep/b.txt", "c.v2.txt"}
    assert all(STORY in text for text in texts.values())
    assert (told["documents"], told["extracted"], told["rejected"], told["mode"]) == (3, 3, {}, mode)
    assert told["docs_per_s"] > 0


def test_a_page_that_cannot_be_read_makes_an_empty_file_and_is_counted(tmp_path: Path) -> None:
    (tmp_path / "bomb.html.gz").write_bytes(gzip.compress(b"x" * 20_000_000))
    (tmp_path / "cut.html.gz").write_bytes(gzip.compress(PAGE.encode())[:-20])
    (tmp_path / "large.html").write_bytes(b"<p>" * 4_000_000)
    (tmp_path / "none.html").write_text("<p>")
    (tmp_path / "page.html").write_text(PAGE)
    told = result(run("--output", tmp_path / "out", tmp_path))
    assert told["rejected"] == {"empty": 1, "too_large": 2, "undecodable": 1}
    assert {name for name, text in written(tmp_path / "out").items() if not text} == {
        "bomb.txt",
        "cut.txt",
        "large.txt",
        "none.txt",
    }


@pytest.mark.usefixtures("faults")
def test_a_page_that_kills_its_process_costs_itself(tmp_path: Path) -> None:
    for name, poison in (("1", ""), ("2", "SEGFAULT"), ("3", "")):
        (tmp_path / f"{name}.html").write_text(PAGE + poison)
    told = result(run("--mode", "fast", "--output", tmp_path / "out", tmp_path))
    assert told["rejected"] == {"crash": 1}
    assert [name for name, text in sorted(written(tmp_path / "out").items()) if STORY in text] == ["1.txt", "3.txt"]


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(PAGE)
    (tmp_path / "a.html.gz").write_bytes(gzip.compress(PAGE.encode()))
    for paths, said in (
        ([tmp_path / "none.html"], "none.html: no such file"),
        ([tmp_path], "would both become"),
        ([tmp_path / "empty"], "no *.html"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        done = run("--output", tmp_path / "out", *paths)
        assert done.exit_code == 2
        assert said in done.output
    (tmp_path / "out").write_text("a file")
    done = run("--output", tmp_path / "out", tmp_path / "a.html")
    assert done.exit_code == 2
    assert "cannot be written" in done.output
