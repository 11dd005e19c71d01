"""`nightshift clean --input … --output …`: anybody's WARC files, no store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result

from tasks.cli import main
from tests.conftest import CORPUS
from tests.integration.test_clean_steps import Warc, article

pytestmark = pytest.mark.integration


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["clean", "--json", *map(str, arguments)])


def result(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    value: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Warc(tmp_path / "in" / "a.warc.gz").page("http://a/1", article("night trains"), 1).page(
        "http://a/2", "<p>Short."
    ).close()
    Warc(tmp_path / "in" / "deep" / "b.warc.gz").page("http://b/1", article("night trains"), 2).page(
        "http://b/2", "<div>" * 100_000
    ).page("http://b/3", bytes(range(256)) * 40).page("http://b/4", b"x" * 11_000_000).gone("http://b/5").close()
    (tmp_path / "in" / "readme.txt").write_text("not a WARC")
    return tmp_path / "in"


def test_a_folder_of_warc_files_becomes_parquet(folder: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "docs.yaml"
    corpus.write_text(yaml.safe_dump(CORPUS | {"clean": {"document_timeout": "2s"}}))
    told = result(run("--input", folder, "--output", tmp_path / "out", "--corpus", corpus, "--workers", 2))
    assert (told["documents"], told["kept"], told["deletions"], told["input_files"]) == (6, 2, 1, 2)
    assert told["rejected"] == {"duplicate": 1, "timeout": 1, "too_large": 1, "undecodable": 1}
    assert told["seconds"] > 0
    assert told["docs_per_s"] > 0
    assert told["peak_memory"] > 50_000_000
    documents = pq.read_table(tmp_path / "out" / "documents.parquet").to_pylist()
    assert [row["url"] for row in documents] == ["http://a/1", "http://a/2"]
    assert all(row["uid"] and row["language"] == "en" and row["length"] == len(row["text"]) for row in documents)
    rejects = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert {row["url"]: row["reason"] for row in rejects} == {
        "http://b/1": "duplicate",
        "http://b/2": "timeout",
        "http://b/3": "undecodable",
        "http://b/4": "too_large",
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "deletions.parquet",
        "documents.parquet",
        "rejects.parquet",
    ]


def test_a_line_of_100_mb_costs_its_page_and_no_memory(tmp_path: Path) -> None:
    plain = Warc(tmp_path / "plain.warc.gz").page("http://a/1", article("night trains")).close()
    long = Warc(tmp_path / "long.warc.gz").page("http://a/1", article("night trains"))
    long = long.page("http://a/2", b"word " * 20_000_000).page("http://a/3", article("day trains")).close()

    def cleaned(path: Path) -> dict[str, Any]:
        command = [Path(sys.executable).with_name("nightshift"), "clean", "--json", "--workers=1"]
        done = subprocess.run(
            [*command, f"--input={path}", f"--output={tmp_path / 'out'}"], stdout=subprocess.PIPE, check=True
        )
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    told = cleaned(long)
    assert (told["documents"], told["kept"], told["rejected"]) == (3, 2, {"too_large": 1})
    assert told["peak_memory"] < cleaned(plain)["peak_memory"] + 50_000_000


def test_a_corpus_gives_the_rules(folder: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "docs.yaml"
    rules = {"filters": [{"length": {"min_words": 20}}], "labels": [{"pattern": "//(?P<label>[a-z])/"}]}
    corpus.write_text(yaml.safe_dump(CORPUS | {"clean": rules | {"document_timeout": "1s"}}))
    told = result(run("--input", folder / "a.warc.gz", "--output", tmp_path / "out", "--corpus", corpus))
    assert (told["kept"], told["rejected"], told["labels"]) == (1, {"length.words": 1}, {"a": 1})
    assert pq.read_table(tmp_path / "out" / "documents.parquet")["m_length_words"].to_pylist() > [20]


def test_nothing_to_keep_is_an_empty_table_not_an_error(tmp_path: Path) -> None:
    path = Warc(tmp_path / "a.warc.gz").page("http://a/1", "").close()
    assert result(run("--input", path, "--output", tmp_path / "out"))["rejected"] == {"empty": 1}
    assert pq.read_table(tmp_path / "out" / "documents.parquet").num_rows == 0


@pytest.mark.parametrize("size", [0, 100])
def test_a_file_that_ends_within_its_first_record_is_counted(folder: Path, tmp_path: Path, size: int) -> None:
    path = folder / "a.warc.gz"
    path.write_bytes(path.read_bytes()[:size])
    told = result(run("--input", path, "--output", tmp_path / "out"))
    assert (told["documents"], told["damaged"], told["malformed"]) == (0, 1, 0)


def test_a_second_run_replaces_the_first_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    contents = []
    for workers in (1, 3):
        run("--input", folder / "a.warc.gz", "--output", tmp_path / "out", "--workers", workers)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()})
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "{tmp}/none.warc.gz", "--output", "{tmp}/out"], "no such file or folder"),
        (["--input", "{tmp}/empty", "--output", "{tmp}/out"], "no *.warc"),
        (["--input", "{tmp}/garbage.warc.gz", "--output", "{tmp}/out"], "garbage.warc.gz"),
        (["--input", "{tmp}/in/a.warc.gz", "--output", "{tmp}/garbage.warc.gz"], "no folder to write to"),
        (["--input", "{tmp}/in"], "--output"),
        (["--output", "{tmp}/out"], "--input"),
        (["--input", "{tmp}/in", "--output", "{tmp}/out", "--partition", "2026-11-20"], "--partition"),
        (["--input", "{tmp}/in", "--output", "{tmp}/out", "--corpus", "{tmp}/none.yaml"], "none.yaml"),
        (["--input", "{tmp}/in", "--output", "{tmp}/out", "--workers", "0"], "workers"),
        ([], "--corpus"),
    ],
)
def test_what_is_wrong_with_a_call_is_said_and_exits_with_2(
    folder: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage.warc.gz").write_bytes(b"garbage" * 10_000)
    done = run(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to the process", "to its group"])
def test_a_sigterm_leaves_nothing_behind(tmp_path: Path, send: Callable[[int, int], None]) -> None:
    scratch, output = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    # A page that takes until its timeout: the signal finds the command at it.
    path = Warc(tmp_path / "a.warc.gz").page("http://a/1", "<div>" * 100_000).close()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("nightshift"), "clean", f"--input={path}", f"--output={output}", "--workers=1"],
        env=os.environ | {"TMPDIR": str(scratch)},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        # The command, the process that forks, and the one at the page.
        while len(members(process.pid)) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert list(output.iterdir())
        send(process.pid, signal.SIGTERM)
        assert process.wait(180) == 143
        assert not list(output.iterdir())
        assert not list(scratch.iterdir())
        assert not members(process.pid)
    finally:
        if members(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def members(group: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(path.parent.name))
    return found
