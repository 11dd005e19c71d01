"""scikit-learn's bundled wines (178, of three growers; UCI) as a CSV file of what a chemist finds in them."""

from __future__ import annotations

import csv
from importlib.metadata import version
from pathlib import Path

FORMAT = 1
_EACH = 20
"""Every twentieth wine is kept back, for the champion to group afterwards."""


def write(folder: Path) -> None:
    """Write ``wines.csv`` with the ``grower``, whom no training reads, and those kept back as ``unseen.csv``."""
    from sklearn.datasets import load_wine

    data = load_wine()
    names = [name.replace("/", "_") for name in data.feature_names]
    files = {name: (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") for name in ("wines", "unseen")}
    writers = {name: csv.writer(file) for name, file in files.items()}
    for writer in writers.values():
        writer.writerow(["id", *names, "grower"])
    for number, (found, grower) in enumerate(zip(data.data, data.target, strict=True)):
        writer = writers["wines" if number % _EACH else "unseen"]
        writer.writerow([f"wine {number}", *(float(value) for value in found), f"grower {grower}"])
    for file in files.values():
        file.close()


def mark() -> str:
    """What the data are made of: another mark, other data."""
    return f"{FORMAT} {version('scikit-learn')}"


def unseen(folder: Path, made: Path) -> Path:
    """The wines that were kept back."""
    return made / "unseen.csv"
