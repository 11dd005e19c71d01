"""What a command leaves for whoever runs it as a container."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tasks.cli import main
from tasks.errors import NightshiftError
from tasks.result import LIMIT, fitted, leave_result

CORPUS = "corpus: docs\nsource: {live: {files: {path: '/nowhere/*.jsonl'}}}\ntrain: {recipe: tfidf_forest}\n"


def nightshift(*arguments: str, **environment: str) -> int:
    """The exit code of the command, run in this process."""
    return CliRunner().invoke(main, arguments, env=environment).exit_code


def test_a_result_is_left_in_the_file_that_the_environment_names(tmp_path: Path) -> None:
    file = tmp_path / "result"
    code = nightshift(
        "crawl", "--corpus=env:YAML", "--partition=2026-11-20", YAML=CORPUS, NIGHTSHIFT_RESULT_FILE=str(file),
        NIGHTSHIFT_STORE=f"file://{tmp_path}/store",
    )  # fmt: skip
    left = json.loads(file.read_text())
    assert code == 2
    assert left["step"] == "crawl"
    assert left["error"]["type"] == "BadInput"
    assert "/nowhere/*.jsonl" in left["error"]["message"]


def test_a_corpus_in_the_environment_is_filled_in_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "result"
    text = CORPUS.replace("/nowhere", "${FOLDER}")
    nightshift(
        "crawl", "--corpus=env:YAML", "--partition=2026-11-20", YAML=text, FOLDER="/elsewhere",
        NIGHTSHIFT_RESULT_FILE=str(file), NIGHTSHIFT_STORE=f"file://{tmp_path}/store",
    )  # fmt: skip
    assert "/elsewhere/*.jsonl" in json.loads(file.read_text())["error"]["message"]


def test_a_variable_without_a_corpus_is_named(tmp_path: Path) -> None:
    file = tmp_path / "result"
    assert nightshift("combine", "--corpus=env:YAML", "--snapshot=x", NIGHTSHIFT_RESULT_FILE=str(file)) == 2
    assert "no corpus YAML in the environment variable YAML" in json.loads(file.read_text())["error"]["message"]


@pytest.mark.parametrize(
    "counts",
    [{"labels": {f"label {number}": number for number in range(2000)}}, {f"count {n}": n for n in range(2000)}],
)
def test_a_long_result_keeps_what_the_chain_is_steered_by(counts: dict[str, object]) -> None:
    result = {"step": "crawl", "manifest": "s3://b/m", "message": "é" * 9000, "counts": {"shards": 4, **counts}}
    line = fitted(result)
    assert len(line) <= LIMIT
    left = json.loads(line)
    assert left["manifest"] == "s3://b/m"
    assert left["counts"]["shards"] == 4


def test_a_long_error_keeps_its_beginning_and_its_end() -> None:
    message = "gate clean: two failed\n" + "\\" * 20_000 + "\ntry nightshift release"
    left = json.loads(fitted({"step": "gate", "error": {"type": "GateFailed", "message": message}}))
    assert left["error"]["type"] == "GateFailed"
    assert left["error"]["message"].startswith("gate clean: two failed")
    assert left["error"]["message"].endswith("try nightshift release")


def test_what_fits_is_left_as_it_is() -> None:
    result = {"step": "clean", "manifest": "s3://b/m", "counts": {"labels": {"a": 1}}, "message": "m" * 900}
    assert json.loads(fitted(result)) == result


def test_a_result_that_cannot_be_left_is_a_failure_that_says_where(tmp_path: Path) -> None:
    with pytest.raises(NightshiftError, match="NIGHTSHIFT_RESULT_FILE"):
        leave_result({"step": "clean"}, str(tmp_path / "no" / "such"))
