"""The interface of a recipe, and the registry of the ones there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tasks.registry import Registry
from tasks.section import Section
from tasks.step import Shard

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Recipe(Protocol):
    """One model family: how to count features, score, save and load it.

    ``spread`` says how training uses several workers, and which protocol adds the fitting:
    ``sharded`` (``ShardedRecipe``) fits one part a shard and merges the parts; ``mirrored`` trains one
    model on all workers in step. Batches are Arrow tables with at least ``uid``, ``text`` and
    ``label`` (never null). Heavy libraries are imported inside the methods: the configuration
    imports every recipe that a YAML names.
    """

    Params: ClassVar[type[Section]]
    spread: ClassVar[str]
    version: ClassVar[int]
    libraries: ClassVar[tuple[str, ...]]
    """Distributions whose version shapes the model."""

    def __init__(self, params: Any, seed: int) -> None: ...

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        """Map: what one shard of the train split contributes to the features, in a fixed row order."""

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        """Reduce: the features of the whole train split, which has ``rows`` labelled rows.

        One row a feature; the same whatever the sharding; empty when nothing is left to learn from.
        """

    def labels(self, model: Any) -> list[str]:
        """The classes, in the column order of ``predict``."""

    def predict(self, model: Any, texts: Sequence[str]) -> np.ndarray:
        """Class probabilities, shape ``(len(texts), len(labels))``, float64."""

    def facts(self, model: Any) -> dict[str, int]:
        """What the model is made of, for manifests and reports, e.g. trees and nodes."""

    def save(self, model: Any, folder: Path) -> None:
        """Write the model as files of formats that run no code when loaded; equal models give equal bytes."""

    def load(self, folder: Path) -> Any:
        """Read what ``save`` wrote.

        Raises:
            Corrupt: the files hold anything but this recipe's own types.
        """


class ShardedRecipe(Recipe, Protocol):
    """A recipe whose shards are fitted alone, in parallel, and united afterwards."""

    def fit(self, batches: Iterator[pa.Table], features: pa.Table, shard: Shard) -> Any:
        """Train on one shard of the train split, with the features of all of it.

        A shard may lack classes; it has at least one row.
        """

    def merge(self, models: Sequence[Any], weights: Sequence[float]) -> Any:
        """One model of several parts; ``weights`` are |D_i| / |D| and sum to 1."""


RECIPES: Registry[type[Recipe]] = Registry("tasks.models", kind="recipe")
