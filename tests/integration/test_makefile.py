"""What the Makefile says and does before anything is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what the Makefile needs, and nothing installed."""
    for name in ("Makefile", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PIP_", "UV_"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env={**clean, **environment}, capture_output=True, text=True, check=False
    )


def fake_python(folder: Path, name: str, major: int, minor: int) -> Path:
    """A program that answers the Makefile's questions as that version of Python would."""
    program = folder / name
    program.write_text(
        "#!/bin/sh\n"
        f"exec {shutil.which('python3')} -c "
        f'\'import sys; sys.version_info = ({major}, {minor}, 0, "final", 0); exec(sys.argv[1])\' "$2"\n'
    )
    program.chmod(0o755)
    return program


def test_help_is_what_make_alone_says(clone: Path) -> None:
    said = make(clone)
    assert said.returncode == 0
    for target in ("demo", "test", "test-fast", "up", "down", "bench", "lint", "lock", "clean", "help"):
        assert f"\n{target} " in f"\n{said.stdout}", target


@pytest.mark.parametrize(("major", "minor"), [(3, 10), (3, 13)])
def test_another_python_is_refused_by_its_version_before_anything_is_made(clone: Path, major: int, minor: int) -> None:
    said = make(clone, "demo", f"PYTHON={fake_python(clone, 'other', major, minor)}")
    assert said.returncode != 0
    assert f"needs Python 3.11 or 3.12; {clone}/other is {major}.{minor}" in said.stderr
    assert not (clone / "build").exists()


def test_no_python_at_all_is_said_with_the_way_out(clone: Path) -> None:
    said = make(clone, "demo", "PYTHON=")
    assert said.returncode != 0
    assert "make PYTHON=/path/to/python" in said.stderr


@pytest.mark.parametrize(
    ("config", "environment", "handed"),
    [
        ("https://config.test/simple", {}, "https://config.test/simple"),
        ("https://config.test/simple", {"PIP_INDEX_URL": "https://env.test/simple"}, "https://env.test/simple"),
        ("", {"PIP_INDEX_URL": "https://env.test/simple"}, "https://env.test/simple"),
        ("https://config.test/simple", {"UV_DEFAULT_INDEX": "https://uv.test/simple"}, "https://uv.test/simple"),
        ("", {}, ""),
    ],
    ids=["of pip's configuration", "of the environment first", "of the environment", "uv's own", "none"],
)
def test_uv_is_handed_the_index_that_pip_uses_and_no_file_keeps_it(
    clone: Path, config: str, environment: dict[str, str], handed: str
) -> None:
    programs = clone / "build" / "bootstrap" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(f'#!/bin/sh\n[ -n "{config}" ] || exit 1\necho "{config}"\n')
    (programs / "uv").write_text(f'#!/bin/sh\necho "index=$UV_DEFAULT_INDEX $*" >> {clone}/calls\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    assert make(clone, ".venv/ready", **environment).returncode != 0, "this uv makes no environment to touch"
    calls = (clone / "calls").read_text().splitlines()
    sync = next(call for call in calls if " pip sync " in call)
    assert sync.startswith(f"index={handed} ")
    assert "--require-hashes requirements.txt" in sync
    for name in ("Makefile", "pyproject.toml", "requirements.txt"):
        assert ".test/simple" not in (clone / name).read_text()
