"""``merge: vote``: parts that stay what they are, and say together what a text is. Any recipe's models can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import Corrupt
from tasks.models._merging import soft_vote
from tasks.models.base import NO_COLUMNS, Columns

if TYPE_CHECKING:
    import numpy as np

    from tasks.models.base import Recipe


@dataclass(frozen=True, slots=True)
class Votes:
    """The parts and their say: |D_i| / |D|."""

    models: Sequence[Any]
    weights: Sequence[float]


class Voting:
    """What a recipe is to its models, for several of them: predict, describe, save, load."""

    def __init__(self, recipe: Recipe, weights: Sequence[float]) -> None:
        self._recipe = recipe
        self._weights = tuple(weights)
        self.columns = recipe.columns

    def labels(self, model: Votes) -> list[str]:
        """All that a part knows."""
        return sorted({label for part in model.models for label in self._recipe.labels(part)})

    def predict(self, model: Votes, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        """The weighted mean of the parts' probabilities."""
        chances = [self._recipe.predict(part, texts, columns) for part in model.models]
        known = [self._recipe.labels(part) for part in model.models]
        return soft_vote(chances, known, model.weights, self.labels(model))

    def facts(self, model: Votes) -> dict[str, int]:
        """The recipe's facts, summed over the parts; and how many they are."""
        facts: dict[str, int] = {"voters": len(model.models)}
        for part in model.models:
            for name, value in self._recipe.facts(part).items():
                facts[name] = facts.get(name, 0) + value
        return facts

    def save(self, model: Votes, folder: Path) -> None:
        """One folder a part."""
        for number, part in enumerate(model.models):
            (folder / str(number)).mkdir()
            self._recipe.save(part, folder / str(number))

    def load(self, folder: Path) -> Votes:
        """Read what ``save`` wrote.

        Raises:
            Corrupt: there are more or fewer parts than weights, or a part is not the recipe's.
        """
        found = sorted(path.name for path in folder.iterdir())
        expected = sorted(str(number) for number in range(len(self._weights)))
        if found != expected:
            raise Corrupt(f"a vote of {len(expected)} parts holds {', '.join(found) or 'nothing'}")
        models = [self._recipe.load(folder / str(number)) for number in range(len(self._weights))]
        return Votes(models, self._weights)
