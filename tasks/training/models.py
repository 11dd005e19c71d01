"""Models on the store: saved by their recipe, described by a manifest, loaded from it alone."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import BadInput, Corrupt, Outdated
from tasks.models._voting import Votes, Voting
from tasks.models.base import RECIPES, Scoring
from tasks.training.runs import recipe_code

if TYPE_CHECKING:
    from tasks.catalog import FileEntry, Manifest
    from tasks.step import Context
    from tasks.training.runs import Training

ROLE = "model"


def store_model(
    context: Context, training: Training, folder: str, model: Any
) -> tuple[list[FileEntry], dict[str, Any]]:
    """Store a model's files under ``folder``; returns them and what ``load_model`` needs in ``details``.

    ``model`` is one of the training's recipe, or ``Votes`` of several: then ``details["vote"]`` has their weights.
    """
    recipe = scoring(training, model)
    choice = training.corpus.train.recipe
    entries, names = [], {}
    with tempfile.TemporaryDirectory(prefix="nightshift-model-") as scratch:
        recipe.save(model, Path(scratch))
        for path in sorted(p for p in Path(scratch).rglob("*") if p.is_file()):
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            entries.append(context.catalog.add_file(folder, ROLE, path, sha256))
            names[path.relative_to(scratch).as_posix()] = sha256
    details = {
        "recipe": choice.name,
        "code": recipe_code(choice.name),
        "params": choice.params.model_dump(mode="json"),
        "seed": training.corpus.train.seed,
        "labels": recipe.labels(model),
        "files": names,
    }
    if training.search:
        details["search"] = dict(training.search)
    if isinstance(model, Votes):
        details["vote"] = list(model.weights)
    return entries, details


def scoring(training: Training, model: Any) -> Scoring:
    """What predicts with a model of a training: its recipe, or several models' vote."""
    return Voting(training.recipe, model.weights) if isinstance(model, Votes) else training.recipe


def recipe_of(manifest: Manifest) -> Scoring:
    """The recipe (or a vote's) of the model that a manifest describes, whatever the corpus YAML says today.

    Raises:
        BadInput: the manifest is not a model's, or here is no such recipe, or none that takes those parameters.
        Outdated: the recipe does not read models of that version any more.
    """
    details = manifest.details
    if not manifest.of_role(ROLE) or "recipe" not in details:
        raise BadInput(f"{manifest.corpus} {manifest.partition} ({manifest.step}) holds no model")
    kind = RECIPES.get(details["recipe"])
    made, oldest = details["code"]["version"], getattr(kind, "oldest", 1)
    if made < oldest:
        raise Outdated(
            f"version {made} of recipe {details['recipe']} made this model, and none of before version {oldest} is "
            "read any more: train a new one (`nightshift train`, or the next retraining)"
        )
    try:
        params = kind.Params.model_validate({**getattr(kind, "before", {}), **details["params"]})
        single = kind(params, details["seed"])
    except ValueError as error:
        raise BadInput(f"recipe {details['recipe']} does not take the parameters of this model: {error}") from error
    return Voting(single, details["vote"]) if "vote" in details else single


def load_model(context: Context, manifest: Manifest) -> tuple[Scoring, Any]:
    """The recipe (or a vote's) and the model that a manifest describes.

    Raises:
        BadInput: as ``recipe_of``.
        Outdated: as ``recipe_of``.
        Corrupt: a file is not the committed one, or holds foreign types.
    """
    recipe = recipe_of(manifest)
    details = manifest.details
    files = {entry.sha256: entry for entry in manifest.of_role(ROLE)}
    with tempfile.TemporaryDirectory(prefix="nightshift-model-") as scratch:
        for name, sha256 in details["files"].items():
            target = (Path(scratch) / name).resolve()
            if sha256 not in files or not target.is_relative_to(Path(scratch).resolve()):
                raise Corrupt(f"the manifest of {manifest.corpus} {manifest.partition} names a file it lacks: {name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            context.catalog.fetch(files[sha256], target)
        return recipe, recipe.load(Path(scratch))
