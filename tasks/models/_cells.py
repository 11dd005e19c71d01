"""A table's rows for trees that know categories and missing cells: a code a category, NaN for what is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from tasks.models._space import Frame

MOST = 255
"""Values of a category that scikit-learn's histograms hold; rarer ones are as if missing."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The columns, categories first: of each its values' codes, then the numbers by name."""

    categories: Mapping[str, Mapping[str, int]]
    numbers: Sequence[str]

    @classmethod
    def of(cls, frame: Frame) -> Cells:
        """The columns of a frame of ``RowSpace``, where a category's value is an axis with its share as ``mean``."""
        shares = dict(zip(frame.terms, frame.arrays["mean"].tolist(), strict=True))
        grouped: dict[str, list[str]] = {}
        for term in frame.terms:
            name, found, value = term.partition("=")
            if found:
                grouped.setdefault(name, []).append(value)
        categories = {}
        for name, values in sorted(grouped.items()):
            kept = sorted(values, key=lambda value, of=name: (-shares[f"{of}={value}"], value))[:MOST]  # type: ignore[misc]
            categories[name] = {value: code for code, value in enumerate(sorted(kept))}
        return cls(categories, [term for term in frame.terms if "=" not in term])

    def points(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """float64, shape ``(rows, columns)``; NaN where a cell is missing, or has a value that is in no code."""
        import numpy as np

        points = np.full((len(rows), len(self.categories) + len(self.numbers)), np.nan)
        places = {name: place for place, name in enumerate([*self.categories, *self.numbers])}
        for point, row in zip(points, rows, strict=True):
            for name, value in row.items():
                if name in self.categories:
                    value = self.categories[name].get(value) if isinstance(value, str) else None
                if value is not None and name in places and not isinstance(value, str):
                    point[places[name]] = value
        return points


def seen(points: np.ndarray, categories: int) -> list[np.ndarray]:
    """Of each category the codes that occur, ascending, int64."""
    import numpy as np

    return [np.unique(column[~np.isnan(column)]).astype(np.int64) for column in points[:, :categories].T]


def narrowed(points: np.ndarray, codes: Sequence[np.ndarray]) -> np.ndarray:
    """The points with each category's code as its place among those of ``codes``, NaN where it is none of them."""
    import numpy as np

    own = points.copy()
    for place, known in enumerate(codes):
        table = np.full(MOST + 1, np.nan)
        table[known] = np.arange(len(known))
        own[:, place] = table[np.where(np.isnan(points[:, place]), MOST, points[:, place]).astype(np.int64)]
    return own
