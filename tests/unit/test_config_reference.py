"""docs/corpus.md: what it shows is what happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.config import load_corpus, yaml12
from tasks.config.reference import PAGE
from tasks.errors import BadInput

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
WRONG = re.findall(r"^```yaml wrong\n(.*?)^```\n\n```text\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def merged(example: str) -> Iterator[str]:
    """The example as a whole file: under the first one, in place of its sections."""
    mine = yaml12.parse(example)
    if "corpus" not in mine:
        for key, lines in re.findall(r"^(\w+):(.*?)(?=^\w|\Z)", EXAMPLES[0], re.MULTILINE | re.DOTALL):
            if key not in mine:
                yield f"{key}:{lines}"
    yield example


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 12
    assert len(WRONG) >= 6
    assert TEXT.count("```yaml") == len(EXAMPLES) + len(WRONG)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_right_corpus(example: str, tmp_path: Path) -> None:
    text = "".join(merged(example))
    path = tmp_path / f"{yaml12.parse(text)['corpus']}.yaml"
    path.write_text(text)
    load_corpus(path, {"CHAT_WEBHOOK": "https://chat.example.org/hook"})


@pytest.mark.parametrize(("example", "says"), WRONG)
def test_every_error_is_printed_as_the_page_says(
    example: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("news.yaml").write_text(example)
    with pytest.raises(BadInput) as caught:
        load_corpus(Path("news.yaml"), {})
    assert f"{caught.value}\n" == says


def test_the_reference_is_current() -> None:
    # In a process of its own: other tests register choices that no installation has.
    done = subprocess.run(
        [sys.executable, "-m", "tasks.config.reference", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_reference_that_is_not_current_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / PAGE).write_text(TEXT.replace("the file's stem", "anything"), encoding="utf-8")
    command = [sys.executable, "-m", "tasks.config.reference"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([*command, "--check"], cwd=tmp_path, env=env, capture_output=True).returncode == 1
    assert subprocess.run(command, cwd=tmp_path, env=env).returncode == 0
    assert (tmp_path / PAGE).read_text(encoding="utf-8") == TEXT


def test_every_key_is_explained() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert [row for row in rows if row.endswith("|  |")] == []


@pytest.mark.parametrize("package", ["sources", "filters", "splits", "models"])
def test_every_file_that_registers_a_choice_is_in_the_reference(package: str) -> None:
    files = [path for path in (ROOT / "tasks" / package).glob("[a-z]*.py") if ".register(" in path.read_text()]
    assert files
    for path in files:
        assert f"#### `{path.stem}`" in TEXT
