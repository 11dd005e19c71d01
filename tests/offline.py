"""Real data that every machine with the project's libraries has: scikit-learn's bundled sets, and pydoc's pages."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import pydoc
import random
import re
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]


def diabetes() -> tuple[Rows, dict[str, Any]]:
    """442 patients: ten measurements, and how far the disease went in a year; rows, and the ``kind`` section."""
    from sklearn.datasets import load_diabetes

    return _table(load_diabetes(scaled=False), "progression")


def iris() -> tuple[Rows, dict[str, Any]]:
    """150 flowers of three species, which ``label`` names."""
    from sklearn.datasets import load_iris

    data = load_iris()
    rows, kind = _table(data, "species")
    species = [str(name) for name in data.target_names]
    for row in rows:
        row["label"] = species[int(row.pop("species"))]
    del kind["table"]["columns"]["species"], kind["table"]["target"]
    return rows, kind


def wine() -> tuple[Rows, dict[str, Any]]:
    """178 wines of three growers, which ``label`` names."""
    from sklearn.datasets import load_wine

    rows, kind = _table(load_wine(), "grower")
    for row in rows:
        row["label"] = f"grower {int(row.pop('grower'))}"
    del kind["table"]["columns"]["grower"], kind["table"]["target"]
    return rows, kind


def _table(data: Any, target: str) -> tuple[Rows, dict[str, Any]]:
    names = [name.split(" (")[0].replace("/", "_").replace(" ", "_") for name in data.feature_names]
    rows = [
        {"id": f"row {i}", **dict(zip(names, map(float, x), strict=True)), target: float(y)}
        for i, (x, y) in enumerate(zip(data.data, data.target, strict=True))
    ]
    columns = {name: {"type": "number"} for name in (*names, target)}
    return rows, {"table": {"columns": columns, "target": target}}


def write(rows: Rows, path: Path) -> Path:
    """Rows as JSONL, in an order that says nothing."""
    shuffled = list(rows)
    random.Random(0).shuffle(shuffled)
    path.write_text("".join(json.dumps(row) + "\n" for row in shuffled), encoding="utf-8")
    return path


def corpus(
    name: str, path: Path, train: dict[str, Any], *, label: str | None = None, **sections: Any
) -> dict[str, Any]:
    """The YAML of a corpus of one file."""
    columns = {} if label is None else {"label": label}
    return {
        "corpus": name,
        "source": {"live": {"files": {"path": str(path), **({"columns": columns} if columns else {})}}},
        "split": {"ratios": {"train": 0.6, "validation": 0.2, "test": 0.2}},
        "train": {"shards": 2, **train},
        **sections,
    }


LIBRARIES = ("asyncio", "email", "unittest", "http", "logging", "xml", "click", "jinja2", "rich", "urllib3")


def documentation(each: int = 40) -> Rows:
    """Pages of pydoc about the classes and functions of ten packages, whose own name is taken out; ``label`` has it."""
    pages: Rows = []
    for library in LIBRARIES:
        found = sorted(_pages(library), key=lambda page: str(page["id"]))
        random.Random(library).shuffle(found)
        pages += found[:each]
    return pages


def _pages(library: str) -> Rows:
    package = importlib.import_module(library)
    names = [library, *(f"{library}.{m.name}" for m in pkgutil.iter_modules(package.__path__) if m.name[0] != "_")]
    pages: Rows = []
    for name in names:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue  # a module for another system
        for key, value in sorted(vars(module).items()):
            mine = (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == name
            if key.startswith("_") or not mine:
                continue
            text = re.sub(library, "", pydoc.plain(pydoc.render_doc(value))[:10_000], flags=re.IGNORECASE)
            # Where an object lies in memory is another text every time.
            text = re.sub(r" at 0x[0-9a-f]+", "", text)
            if len(text) > 400:
                pages.append({"id": f"{name}.{key}", "text": text, "label": library})
    return pages
