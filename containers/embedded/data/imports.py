"""Who imports what: the modules of the installed scikit-learn as users, the names that they import as items."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "sklearn"
FORMAT = 1
"""Raised when the same package gives other rows."""
_ASKED = (f"{PACKAGE}.svm._base", f"{PACKAGE}.cluster._kmeans", f"{PACKAGE}.tests.test_pipeline", "a.module.of.yours")


def write(folder: Path) -> None:
    """Write ``imports.jsonl``: ``id``, ``module`` and ``name``, a row an import."""
    with (folder / "imports.jsonl").open("w", encoding="utf-8") as out:
        for row in rows():
            out.write(json.dumps(row) + "\n")


def rows() -> Iterator[dict[str, str]]:
    """A row for each name that a module imports from elsewhere, by module and name."""
    spec = find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None
    root = Path(spec.origin).parent
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root.parent).with_suffix("").as_posix().replace("/", ".")
        for name in sorted(_names(path)):
            yield {"id": f"{module} {name}", "module": module, "name": name}


def mark() -> str:
    """What the data are made of: another mark, other data."""
    from importlib.metadata import version

    return f"{FORMAT} {version('scikit-learn')}"


def unseen(folder: Path, made: Path) -> Path:
    """Modules to recommend imports to, the last of which nobody ever saw."""
    path = folder / "unseen.jsonl"
    path.write_text("".join(json.dumps({"module": module}) + "\n" for module in _ASKED))
    return path


def _names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names |= {f"{node.module}.{each.name}" for each in node.names}
    return names
