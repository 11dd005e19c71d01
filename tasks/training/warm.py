"""A warm start: the champion's weights where they fit this training's network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.errors import BadInput
from tasks.models._fit import ClassFitParams
from tasks.training.models import load_model

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tasks.models.base import MirroredRecipe
    from tasks.step import Context
    from tasks.training.runs import Training


_PENALTIES = ("dropout", "l2")


@dataclass(frozen=True, slots=True)
class Beginning:
    """Weights to begin with, and whose they are: ``version`` and ``run`` of the champion, ``frozen`` layers if any."""

    weights: Sequence[np.ndarray]
    champion: dict[str, Any]


def warm_start(
    context: Context, training: Training, recipe: MirroredRecipe, features: pa.Table, start: Sequence[np.ndarray]
) -> Beginning | None:
    """What to begin with under ``train.warm_start``; None, and a line in the log, where ``start`` must do.

    The champion is no input of the run: a training that is committed stays done when another model, or it itself,
    becomes the champion. It matters to a training that has no checkpoint yet, and to none after.
    """
    from tasks.model_registry import Registry

    if not training.corpus.train.warm_start:
        return None
    registry = Registry(context.catalog, training.corpus.corpus)
    champion = registry.champion()
    if champion is None or champion.run == training.run:
        _say_cold(context, "there is no champion yet" if champion is None else "the champion is this very run's")
        return None
    manifest = registry.model(champion)
    name = training.corpus.train.recipe.name
    if manifest.details["recipe"] != name:
        _say_cold(context, f"champion {champion.version} is a {manifest.details['recipe']}, not a {name}")
        return None
    if "vote" in manifest.details:
        _say_cold(context, f"champion {champion.version} is a vote of several models")
        return None
    mine, theirs = _shaping(recipe.params.model_dump(mode="json")), _shaping(manifest.details["params"])
    if differs := sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)):
        _say_cold(context, f"champion {champion.version} was trained with another {', '.join(differs)}")
        return None
    try:
        weights = recipe.warm(start, features, load_model(context, manifest)[1])
    except BadInput as error:
        _say_cold(context, f"champion {champion.version} does not fit: {error}")
        return None
    context.log.info("warm start", champion=champion.version, run=champion.run)
    frozen = list(training.corpus.train.freeze)
    said = {"version": champion.version, "run": champion.run} | ({"frozen": frozen} if frozen else {})
    return Beginning(weights, said)


def _shaping(params: dict[str, object]) -> dict[str, object]:
    """The recipe's own parameters: how it is fitted changes no shape, and no penalty does."""
    how = {*ClassFitParams.model_fields, *_PENALTIES}
    return {key: value for key, value in params.items() if key not in how}


def _say_cold(context: Context, why: str) -> None:
    context.log.warning("no warm start: training begins at random", why=why)
