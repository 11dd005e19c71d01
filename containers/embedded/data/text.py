"""Python's own documentation as running text: its language reference, and its library's docstrings."""

from __future__ import annotations

import ast
import json
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

LONGEST = 2_500
"""Characters of a module's documentation that are taken, so that the reference stays most of the data."""
SHORTEST = 200
FORMAT = 2
"""Raised when the same Python gives other rows."""
KEPT_BACK = 20
"""Every so-manieth module is kept back, for the champion to read and to write on from afterwards."""

_SKIPPED = {"idlelib", "lib2to3", "turtledemo", "test", "site-packages", "pydoc_data", "encodings"}
_RULE = re.compile(r"\n[*=\-^~\"]{3,}(?=\n)")


def write(folder: Path) -> None:
    """Write ``documentation.jsonl``, a document a row with ``id`` and ``text``, and ``unseen/*.txt``."""
    (folder / "unseen").mkdir()
    with (folder / "documentation.jsonl").open("w", encoding="utf-8") as out:
        for number, (name, text) in enumerate(_documents()):
            if number % KEPT_BACK == KEPT_BACK - 1 and name.startswith("library/"):
                (folder / "unseen" / f"{name.removeprefix('library/')}.txt").write_text(text, encoding="utf-8")
            else:
                out.write(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n")


def mark() -> str:
    """What the data are made of: another mark, other data."""
    return f"{FORMAT} {sys.version}"


def unseen(folder: Path, made: Path) -> Path:
    """The modules that were kept back, a plain text file each."""
    return made / "unseen"


def _documents() -> Iterator[tuple[str, str]]:
    from pydoc_data.topics import topics

    for name in sorted(topics):
        yield f"reference/{name}", _RULE.sub("", topics[name])
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted([*root.glob("*.py"), *root.glob("*/*.py")]):
        place = path.relative_to(root)
        if _SKIPPED & {*place.parts, path.stem} or path.stem.startswith("_"):
            continue
        text = "\n\n".join(_docstrings(path))[:LONGEST].rsplit("\n", 1)[0]
        if len(text) >= SHORTEST:
            yield f"library/{'.'.join(place.with_suffix('').parts)}", text


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = ast.get_docstring(node)
            if found and len(found) > 60:
                yield found
