"""Weights that a training is told to begin with, by whoever started it on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tasks.models.base import MirroredRecipe

VARIABLE = "NIGHTSHIFT_BEGIN"
"""Names a folder with the files of a model of the same recipe, parameters and features."""


def begin_with(
    env: Mapping[str, str], recipe: MirroredRecipe, features: pa.Table, start: Sequence[np.ndarray]
) -> Sequence[np.ndarray] | None:
    """The weights to begin with in place of ``start``; None where nobody said so."""
    if not env.get(VARIABLE):
        return None
    return recipe.warm(start, features, recipe.load(Path(env[VARIABLE])))
