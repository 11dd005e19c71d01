"""What every command shares: options, exit codes, the last line."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tasks.cli import main
from tasks.command import step_command
from tasks.errors import BadInput, Corrupt, GateFailed, NotFound, Quarantined, StoreError
from tasks.step import Context, Shard, StepResult

CORPUS = "corpus: docs\nsource: {live: {files: {path: /a}}}\ntrain: {recipe: tfidf_forest}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docs.yaml").write_text(CORPUS)
    monkeypatch.setenv("NIGHTSHIFT_CORPORA", str(tmp_path))
    monkeypatch.setenv("NIGHTSHIFT_STORE", f"file://{tmp_path}/store")
    return tmp_path


def call(command: click.Command, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, prog_name="nightshift")


def raising(error: Exception) -> click.Command:
    @step_command("split")
    def command(context: Context, partition: str) -> StepResult:
        raise error

    return command


def test_the_result_is_the_last_line(folder: Path) -> None:
    @step_command("split")
    def command(context: Context, partition: str) -> StepResult:
        print("something in between")
        return StepResult("split", context.corpus.corpus, "file:///m", partition, counts={"train": 1}, message="é")

    done = call(command, "--corpus", "docs", "--partition", "2026-11-20", "--json")
    assert done.exit_code == 0
    result = json.loads(done.stdout.splitlines()[-1])
    assert result.pop("seconds") >= 0
    assert result == {
        "step": "split",
        "corpus": "docs",
        "partition": "2026-11-20",
        "manifest": "file:///m",
        "noop": False,
        "counts": {"train": 1},
        "message": "é",
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("b"), 2),
        (GateFailed("b"), 3),
        (Quarantined("b"), 3),
        (StoreError("b"), 1),
        (NotFound("b"), 1),
        (Corrupt("b"), 1),
        (RuntimeError("b"), 1),
    ],
)
def test_an_error_becomes_an_exit_code_and_a_last_line(folder: Path, error: Exception, code: int) -> None:
    done = call(raising(error), "--corpus", "docs", "--partition", "2026-11-20", "--json")
    assert done.exit_code == code
    said = json.loads(done.stdout.splitlines()[-1])
    assert said == {"step": "split", "error": {"type": type(error).__name__, "message": "b"}}


def test_a_crash_shows_where(folder: Path) -> None:
    done = call(raising(RuntimeError("b")), "--corpus", "docs", "--partition", "2026-11-20")
    assert isinstance(done.exception, RuntimeError)


@pytest.mark.parametrize(
    "day", ["", "yesterday", "20261120", "2026-W47-5", "2026-1-1", "2026-02-30", "2026-11-20T00:00", "../2026-11-20"]
)
def test_a_partition_is_a_day(folder: Path, day: str) -> None:
    done = call(main, "split", "--corpus", "docs", f"--partition={day}")
    assert done.exit_code == 2
    assert f"{day!r} is not a day: expected YYYY-MM-DD, as in 2026-11-20" in done.stderr


@pytest.mark.parametrize("shard", ["", "1", "4/4", "0/0", "-1/4", "1/4/2", "a/b", "1 / 4", "1.0/4"])
def test_a_shard_is_an_index_below_a_count(folder: Path, shard: str) -> None:
    done = call(main, "clean", "--corpus", "docs", "--partition", "2026-11-20", f"--shard={shard}")
    assert done.exit_code == 2
    assert f"{shard!r} is not a shard: expected index/count counted from 0, as in 0/4" in done.stderr


def test_a_shard_is_written_as_it_is_read() -> None:
    assert (str(Shard(1, 4)), Shard(1, 4).folder) == ("1/4", "1-of-4")


def test_an_unknown_corpus_is_answered_with_the_known_ones(folder: Path) -> None:
    done = call(main, "split", "--corpus", "news", "--partition", "2026-11-20")
    assert done.exit_code == 2
    assert f"no corpus 'news' in {folder} (NIGHTSHIFT_CORPORA); known: docs" in done.stderr


def test_a_corpus_may_be_given_as_a_file(folder: Path) -> None:
    done = call(main, "split", "--corpus", str(folder / "docs.yaml"), "--partition", "2026-11-20")
    assert "run `nightshift dedup --corpus docs --partition 2026-11-20` first" in done.stderr


def test_a_missing_store_says_how_to_name_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NIGHTSHIFT_STORE")
    done = call(main, "split", "--corpus", "docs", "--partition", "2026-11-20")
    assert done.exit_code == 2
    assert "give --store or set NIGHTSHIFT_STORE" in done.stderr


def test_a_broken_corpus_is_bad_input_with_every_fault(folder: Path) -> None:
    (folder / "docs.yaml").write_text(CORPUS + "clean: {shards: 0, x: 1}\n")
    done = call(main, "split", "--corpus", "docs", "--partition", "2026-11-20", "--json")
    assert done.exit_code == 2
    said = json.loads(done.stdout.splitlines()[-1])["error"]
    assert said["type"] == "BadInput"
    assert len(said["message"].splitlines()) == 2


@pytest.mark.parametrize("command", ["split", "upload", "snapshot"])
def test_help_explains_itself(command: str) -> None:
    done = call(main, command, "--help")
    assert done.exit_code == 0
    for word in ("--corpus", "--store", "--json", "NIGHTSHIFT_STORE"):
        assert word in done.stdout


def test_check_names_every_fault_of_every_file(folder: Path) -> None:
    (folder / "news.yaml").write_text("corpus: news\n")
    done = call(main, "check", str(folder / "docs.yaml"), str(folder / "news.yaml"))
    assert done.exit_code == 2
    assert f"{folder}/news.yaml: source: is required" in done.stderr
    assert f"{folder}/news.yaml: train: is required" in done.stderr
    assert call(main, "check", str(folder / "docs.yaml")).exit_code == 0


def test_a_release_by_a_user_without_a_name_asks_who_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    arguments = ["release", "--corpus", "docs", "--partition", "2026-11-20", "--stage", "raw", "--reason", "x"]
    nameless = call(main, *arguments)
    assert (nameless.exit_code, "say with --by who releases it" in nameless.output) == (2, True)
    assert "nothing at file://" in call(main, *arguments, "--by", "ada").output
