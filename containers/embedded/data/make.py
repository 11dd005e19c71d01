"""Make a demo corpus's data, unless they are there: ``python -m containers.embedded.data.make FOLDER CORPUS…``."""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import sys
from pathlib import Path
from types import ModuleType

_MARK = "made.txt"


def makers() -> dict[str, ModuleType]:
    """The module of each corpus that has data to be made."""
    package = importlib.import_module("containers.embedded.data")
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if module.name != "make"]
    return {name: importlib.import_module(f"{package.__name__}.{name}") for name in sorted(names)}


def make(folder: Path, corpus: str) -> Path | None:
    """``<folder>/<corpus>`` with its data, made anew when what they are made of is another; None for a corpus without.

    Beside the old data until they are whole: a kill leaves no half of them.
    """
    maker = makers().get(corpus)
    if maker is None:
        return None
    target, mark = folder / corpus, maker.mark()
    if (target / _MARK).exists() and (target / _MARK).read_text() == mark:
        return target
    fresh = folder / f".{corpus}-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    maker.write(fresh)
    (fresh / _MARK).write_text(mark)
    shutil.rmtree(target, ignore_errors=True)
    fresh.replace(target)
    return target


if __name__ == "__main__":
    for name in sys.argv[2:]:
        print(make(Path(sys.argv[1]), name))
