"""scikit-learn's bundled diabetes set (442 patients; Efron et al., 2004) as a CSV file of its ten measurements."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

FORMAT = 1
_UNSEEN = 5
"""So many are kept back, for the champion to foretell afterwards."""
COLUMNS = ("age", "sex", "bmi", "bp", "cholesterol", "ldl", "hdl", "ratio", "triglycerides", "glucose")
TARGET = "progression"
"""How far the disease went in a year: a number from 25 to 346."""


def write(folder: Path) -> None:
    """Write ``patients.csv``, and those kept back, without what is to be foretold, as ``unseen.csv``."""
    patients = rows()
    _table(folder / "patients.csv", patients[_UNSEEN:], ("id", *COLUMNS, TARGET))
    _table(folder / "unseen.csv", patients[:_UNSEEN], ("id", *COLUMNS))


def rows() -> list[dict[str, Any]]:
    """All patients, in the units in which they were measured; ``sex`` is 1 or 2, and the set does not say which."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    return [
        {
            "id": f"patient {number}",
            **{name: float(value) for name, value in zip(COLUMNS, measured, strict=True)},
            "sex": f"{measured[1]:.0f}",
            TARGET: float(target),
        }
        for number, (measured, target) in enumerate(zip(data.data, data.target, strict=True))
    ]


def mark() -> str:
    """What the data are made of: another mark, other data."""
    return f"{FORMAT} {version('scikit-learn')}"


def unseen(folder: Path, made: Path) -> Path:
    """The patients who were kept back."""
    return made / "unseen.csv"


def _table(path: Path, patients: list[dict[str, Any]], columns: Sequence[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(patients)
