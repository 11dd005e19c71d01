"""Docstrings of installed libraries: the first line says what the rest is about, as their authors were taught to write.

The text is what stands below the first line, up to lists, examples and parameters; the summary is the first line.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

PACKAGES = {"twisted": "twisted", "sqlalchemy": "sqlalchemy", "airflow": "apache-airflow-core"}
"""Those whose docstrings have prose in them, and the distributions that they come with."""
SHORTEST = 3
"""Sentences of a text: of fewer, choosing one says little."""
FORMAT = 1
"""Raised when the same libraries give other rows."""
_TITLE = range(5, 41)
"""Words of a first line that says something, and is one."""
_END = re.compile(r"^[ \t]*(?:[-=~^*]{3,}\s*$|>>>|\.\. |[:@]\w+|[-*] |\d+\. )|::\s*$", re.MULTILINE)
_MARKUP = re.compile(r":\w+(?::\w+)?:`[.~]*([^`<]*)[^`]*`|[LCIBU]\{([^{}]*)\}|``([^`]*)``|`([^`]*)`")


def write(folder: Path) -> None:
    """Write ``docstrings.jsonl``: ``id``, ``module``, ``text``, ``summary``, a row a docstring."""
    with (folder / "docstrings.jsonl").open("w", encoding="utf-8") as out:
        for row in rows():
            out.write(json.dumps(row) + "\n")


def rows() -> Iterator[dict[str, str]]:
    """The docstrings that have a first line and enough sentences below it, by module and line; each text once."""
    seen: set[str] = set()
    for module, tree in _modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            found = _divided(ast.get_docstring(node) or "")
            if found and found[1] not in seen:
                seen.add(found[1])
                line = getattr(node, "lineno", 0)
                yield {"id": f"{module}:{line}", "module": module, "summary": found[0], "text": found[1]}


def mark() -> str:
    """What the data are made of: another mark, other data."""
    return " ".join([str(FORMAT), *map(version, PACKAGES.values())])


def unseen(folder: Path, made: Path) -> Path:
    """A text that no training saw."""
    path = folder / "unseen.txt"
    path.write_text(
        "It was late when we began. A night's run reads what the crawl has brought and trains a model on it. The model "
        "is compared with the one in use, on rows that neither has seen. Coffee was made twice. If it is no worse, it "
        "is promoted, and a copy of it is stored elsewhere. Nobody has to watch. When a gate fails, the run stops, "
        "and the message says what to do.\n"
    )
    return path


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec is not None and spec.origin is not None
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*.py")):
            name = path.relative_to(root.parent).with_suffix("").as_posix().replace("/", ".")
            yield name, ast.parse(path.read_text("utf-8"))


def _divided(docstring: str) -> tuple[str, str] | None:
    """First paragraph, and the prose below it; None where one of them is missing or no prose."""
    from tasks.text.sentences import sentences

    head, _, body = _MARKUP.sub(lambda found: found[found.lastindex or 0], docstring).partition("\n\n")
    end = _END.search(body)
    body = body[: end.start()] if end else body
    if len(head.split()) not in _TITLE or len(sentences(head)) != 1 or len(sentences(body)) < SHORTEST:
        return None
    return " ".join(head.split()), body.strip()
