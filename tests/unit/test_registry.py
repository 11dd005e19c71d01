"""Files that register themselves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.errors import BadInput
from tasks.registry import Registry


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[object]]:
    """A registry over the files of a package of its own."""
    folder = tmp_path / "shapes_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "base.py").write_text(
        "from tasks.registry import Registry\nSHAPES = Registry('shapes_of_a_test', kind='shape', parts=('part',))\n"
    )
    (folder / "circle.py").write_text("from shapes_of_a_test.base import SHAPES\nSHAPES.register('circle')('round')\n")
    (folder / "broken.py").write_text("import no_such_module\n")
    (folder / "typo.py").write_text("def (:\n")
    (folder / "silent.py").touch()
    (folder / "part.py").touch()
    (folder / "_private.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    from shapes_of_a_test.base import SHAPES  # type: ignore[import-not-found]

    yield SHAPES
    for name in [name for name in sys.modules if name.startswith("shapes_of_a_test")]:
        del sys.modules[name]


def test_a_name_is_the_stem_of_a_file(shapes: Registry[object]) -> None:
    assert shapes.names() == ["broken", "circle", "silent", "typo"]
    assert shapes.get("circle") == "round"


def test_only_the_named_file_is_imported(shapes: Registry[object]) -> None:
    shapes.get("circle")
    assert "shapes_of_a_test.silent" not in sys.modules


@pytest.mark.parametrize("name", ["square", "base", "part", "_private", "circle.py", "../circle", ""])
def test_an_unknown_name_is_answered_with_the_known_ones(shapes: Registry[object], name: str) -> None:
    with pytest.raises(BadInput, match=r"unknown shape .*; known: broken, circle, silent, typo"):
        shapes.get(name)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("broken", "shape 'broken' cannot be loaded from shapes_of_a_test.broken: ModuleNotFoundError"),
        ("typo", "shape 'typo' cannot be loaded from shapes_of_a_test.typo: SyntaxError"),
        ("silent", "shape 'silent': shapes_of_a_test.silent registers nothing under that name"),
    ],
)
def test_a_broken_file_is_bad_input_for_those_who_name_it(shapes: Registry[object], name: str, fault: str) -> None:
    with pytest.raises(BadInput, match=fault):
        shapes.get(name)
    assert shapes.get("circle") == "round"
