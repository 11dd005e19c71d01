"""The search for the parameters of a recipe, as the YAML has it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from tasks.section import Section

Value = bool | int | float | str | tuple[int | float | str, ...] | None
"""What a choice may be."""
FIXED = ("average", "rounds")
"""Parameters that say how many tasks the DAG has."""


class Parameter(Section):
    """One parameter of the recipe: a range from ``low`` to ``high``, or ``choices``."""

    low: int | float | None = Field(None, description="the least, which may be tried too")
    high: int | float | None = Field(
        None, description="the most; whole numbers are tried where both are written as whole numbers"
    )
    step: int | float | None = Field(None, gt=0, description="between two values; null: any between")
    log: bool = Field(False, description="spread the orders of magnitude evenly, and not the values")
    choices: tuple[Value, ...] | None = Field(None, description="the values there are, instead of a range")

    @model_validator(mode="after")
    def _is_a_range_or_choices(self) -> Self:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.step is not None or self.log:
                raise ValueError("give low and high, or choices, not both")
            if len(self.choices) < 2 or len({repr(each) for each in self.choices}) < len(self.choices):
                raise ValueError("choices: expected two or more, none twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give low and high, or choices")
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not less than high {self.high}")
        if self.log and (self.step is not None or self.low <= 0):
            raise ValueError("log: needs a low above 0, and no step")
        if self.whole and isinstance(self.step, float):
            raise ValueError(f"step {self.step}: between whole numbers it is one too")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Any, ...]:
        """All values there are, or those that every other one lies between, and one of these that is no whole number
        where others may be none either."""
        if self.choices is not None:
            return self.choices
        assert self.low is not None
        assert self.high is not None
        if self.whole:
            return (self.low, self.high)
        return (self.low, self.low + (self.step or (self.high - self.low) / math.e), self.high)


class Pruning(Section):
    """Trials that fall behind are ended before their time."""

    by: Literal["median", "hyperband"] = Field(
        "median",
        description="median: worse than the half of the finished ones at the same point; hyperband: not among the best "
        "at points ever further apart",
    )
    watch: str = Field(
        "loss",
        description="of a mirrored recipe: what of the validation split is looked at after each epoch, loss or a "
        "metric of the recipe; a sharded one is looked at by the search's own metric, after each shard",
    )
    startup: int = Field(5, ge=1, description="of median: trials that end before the first is judged")
    warmup: int = Field(1, ge=0, description="of median: epochs or shards of each trial that are not judged")
    least: int = Field(1, ge=1, description="of hyperband: epochs or shards that every trial has")
    reduction: int = Field(3, ge=2, description="of hyperband: of so many one goes on")


class Search(Section):
    """A search for the recipe's parameters, on train and validation alone; the winner's become the run's."""

    parameters: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)*$")], Parameter] = Field(
        min_length=1, description="a parameter of train.recipe, with dots where it lies deeper, to its range"
    )
    trials: int = Field(
        20, ge=1, le=1000, description="so many are trained; raise it to go on where the last one ended"
    )
    parallel: int = Field(
        2, ge=1, le=100, description="trials of one round, side by side; each learns from all rounds before its own"
    )
    seed: int = Field(0, description="another number draws other values")
    sampler: Literal["tpe", "random"] = Field(
        "tpe", description="tpe: near what did well so far (tree-structured Parzen estimator); random"
    )
    startup: int = Field(10, ge=1, description="of tpe: trials that are drawn at random before")
    pruner: Pruning | None = Field(None, description="null: every trial is trained to its end")
    metric: str | None = Field(None, description="what the best trial is best by; default the recipe's leading measure")
    direction: Literal["maximize", "minimize"] | None = Field(
        None, description="of the metric; default, as the measure is better"
    )

    @field_validator("parameters")
    @classmethod
    def _leaves_the_tasks_alone(cls, value: dict[str, Parameter]) -> dict[str, Parameter]:
        for name in value:
            if name in FIXED:
                raise ValueError(f"{name}: says how many tasks there are, so it cannot be searched for")
            if any(other.startswith(f"{name}.") for other in value):
                raise ValueError(f"{name}: is searched for whole and in part")
        return value

    @property
    def rounds(self) -> list[range]:
        """The trials of each round, by number."""
        return [range(start, min(start + self.parallel, self.trials)) for start in range(0, self.trials, self.parallel)]

    def require_fitting(self, recipe: str, params: Section) -> None:
        """Refuse ranges that the recipe cannot take.

        Raises:
            ValueError: names the parameter, the bad value and why.
        """
        for name, parameter in self.parameters.items():
            for value in parameter.ends:
                try:
                    applied(params, {name: value})
                except ValidationError as error:
                    fault = error.errors()[0]
                    message = fault["msg"].removeprefix("Value error, ")
                    raise ValueError(
                        f"search.parameters.{name}: {value!r} is nothing that train.recipe.{recipe} takes: {message}"
                    ) from error


def applied(params: Section, values: Mapping[str, Any]) -> Section:
    """The parameters with other values at some (dotted) keys.

    Raises:
        pydantic.ValidationError: they are none.
    """
    changed = params.model_dump(mode="json")
    for name, value in values.items():
        *above, last = name.split(".")
        section = changed
        for key in above:
            if not isinstance(section.get(key), dict):
                section[key] = {}
            section = section[key]
        section[last] = value
    return type(params).model_validate(changed)
