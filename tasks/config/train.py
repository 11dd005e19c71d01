"""The section ``train``: which model, spread how, on which rows."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tasks.config.clean import Near
from tasks.config.federated import Federated
from tasks.models.base import RECIPES, streams
from tasks.section import Choice, ChoiceOf, Section


class Train(Section):
    """Which model, on how many workers."""

    recipe: Annotated[Choice, ChoiceOf(RECIPES)] = Field(description="the model family")
    strategy: Literal["mirrored", "parameter_server", "sharded", "single"] | None = Field(
        None,
        description="mirrored: all workers take each step together; parameter_server: each at its own pace, on "
        "variables that servers hold; sharded: each part of the rows is fitted alone; single: one process. Default: "
        "the recipe's own",
    )
    label: Literal["label", "language", "group"] = Field("label", description="the column to predict")
    shards: int = Field(2, ge=1, le=1000, description="so many parts are fitted side by side")
    seed: int = Field(0, description="of all that is drawn by chance")
    history: int | None = Field(None, ge=1, description="only the latest so many partitions; all by default")
    merge: Literal["union", "average", "sum", "vote"] | None = Field(
        None, description="how parts become one model, of the ways that the recipe has; by default its first"
    )
    merge_tolerance: float = Field(
        0.01, ge=0, le=1, description="macro-F1 a merged model may lack to its best part before the part replaces it"
    )
    federated: Federated | None = Field(None, description="sites that train on data of their own; null: none")
    warm_start: bool = Field(
        False, description="of a mirrored recipe: begin with the champion's weights where they fit, and not at random"
    )
    freeze: tuple[str, ...] = Field(
        (), description="layers of the network that keep the champion's weights, as embedding; needs warm_start"
    )
    near: Near | None = Field(Near(), description="near-duplicates across partitions and splits; null keeps them")
    slices: tuple[Literal["language", "group", "length"], ...] = Field(
        ("language",), description="by what metrics are broken down"
    )

    @property
    def rounds(self) -> int:
        """How often all shards are fitted: once, unless the recipe has rounds and there are shards to add up."""
        return 1 if self.shards == 1 else getattr(self.recipe.params, "rounds", None) or 1

    @model_validator(mode="before")
    @classmethod
    def _single_is_one_shard(cls, data: Any) -> Any:
        """One process fits all rows, so that there is one shard unless a mirrored recipe is to encode several."""
        if isinstance(data, dict) and data.get("strategy") == "single" and "shards" not in data:
            return {**data, "shards": 1}
        return data

    @model_validator(mode="after")
    def _by_a_strategy_of_the_recipe(self) -> Self:
        spread = RECIPES.get(self.recipe.name).spread
        able = {"mirrored": ("mirrored", "parameter_server", "single"), "sharded": ("sharded", "single")}[spread]
        if self.strategy is None:
            return self
        if self.strategy not in able:
            raise ValueError(
                f"strategy {self.strategy!r}: {self.recipe.name} is {spread}, it can be trained by {' or '.join(able)}"
            )
        if self.strategy == "single" and spread == "sharded" and self.shards != 1:
            raise ValueError(f"strategy 'single': one process fits all rows, and shards is {self.shards}: leave it out")
        if self.strategy == "parameter_server" and streams(RECIPES.get(self.recipe.name)):
            raise ValueError(
                f"strategy 'parameter_server': {self.recipe.name} carries a state from step to step, and there each "
                "worker is at a step of its own; take mirrored or single"
            )
        precision = getattr(self.recipe.params, "precision", None)
        if self.strategy == "parameter_server" and precision == "mixed_float16":
            raise ValueError(
                "strategy 'parameter_server': mixed_float16 scales the loss by what all workers' gradients of a step "
                "say, and there is no such step; take float32 or mixed_bfloat16"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_a_strategy_that_is_not_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A training is what it was before there were others: so is its id."""
        values: dict[str, Any] = dump(self)
        for name in ("strategy", "federated", "freeze"):
            if not getattr(self, name):
                values.pop(name, None)
        return values

    @model_validator(mode="after")
    def _sites_train_what_can_be_averaged(self) -> Self:
        if self.federated is None:
            return self
        if RECIPES.get(self.recipe.name).spread != "mirrored":
            raise ValueError(f"federated: {self.recipe.name} is sharded, it has no weights to average in rounds")
        if self.strategy is not None:
            raise ValueError(f"federated: each site trains by itself; leave strategy {self.strategy!r} out")
        if self.recipe.params.average != 1:
            raise ValueError("federated: the sites' weights are averaged, not epochs: leave average out")
        return self

    @model_validator(mode="after")
    def _as_the_recipe_can(self) -> Self:
        recipe = RECIPES.get(self.recipe.name)
        if self.merge is not None and self.merge not in recipe.merges:
            raise ValueError(
                f"merge {self.merge!r}: {self.recipe.name} can be merged by {' or '.join(recipe.merges)} only"
            )
        if self.warm_start and recipe.spread != "mirrored":
            raise ValueError(f"warm_start: {self.recipe.name} is {recipe.spread}, it has no weights to begin with")
        if self.freeze and (self.federated or not self.warm_start):
            raise ValueError(
                f"freeze {list(self.freeze)}: layers are frozen as the champion has them, and "
                + (
                    "federated rounds begin at random"
                    if self.federated
                    else "without warm_start nothing is taken of it"
                )
            )
        return self
