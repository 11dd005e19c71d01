"""Which browser the test of the web UI takes: the first of the known names that runs, not one that only looks so."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.browser import NAMES, find_chromium

RUNS = 'test "$*" = --version && echo Chromium 156'
STUB = "echo 'requires the chromium snap to be installed' >&2; exit 1"
HANGS = "exec sleep 600"

Put = Callable[[str, str], str]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """``put("chromium", RUNS)``: a program of that name on a PATH that has no other browser; its path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for needed in ("sleep", "timeout"):
        (folder / needed).symlink_to(shutil.which(needed) or needed)
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, script: str) -> str:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


BASH = shutil.which("bash") or "bash"


def ci_has_chromium() -> bool:
    """What ``.ci/run`` makes of the same PATH, which brings a browser where there is none."""
    script = (Path(__file__).parents[2] / ".ci" / "run").read_text()
    function = script[script.index("has_chromium() {") :].partition("\n}\n")[0] + "\n}"
    return subprocess.run([BASH, "-c", f"{function}\nhas_chromium"], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_of_any_known_name_is_found(put: Put, name: str) -> None:
    program = put(name, RUNS)
    assert find_chromium() == program
    assert ci_has_chromium()


def test_where_there_is_no_browser_or_one_of_another_name_none_is_found(put: Put) -> None:
    put("firefox", RUNS)
    assert find_chromium() is None
    assert not ci_has_chromium()


def test_a_program_that_only_says_how_to_install_a_browser_is_none_and_the_next_name_is_tried(put: Put) -> None:
    put("chromium-browser", STUB)
    assert find_chromium() is None
    assert not ci_has_chromium()
    chrome = put("google-chrome", RUNS)
    assert find_chromium() == chrome
    assert ci_has_chromium()


def test_a_program_that_cannot_be_run_or_does_not_answer_is_none(put: Put) -> None:
    Path(put("chromium", "")).write_bytes(b"\x7fELF")
    put("google-chrome", HANGS)
    assert find_chromium(deadline=0.2) is None
