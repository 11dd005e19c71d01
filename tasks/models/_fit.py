"""How a mirrored recipe is fitted: the keys that all of them share in the YAML."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tasks.models._resampling import DESCRIPTION, Resampling
from tasks.section import Section


class EarlyStopping(Section):
    """Stop when validation no longer gets better; the best epoch's weights are the model."""

    metric: str = Field("loss", description="what is watched on the validation split: loss, or a metric of the recipe")
    patience: int = Field(3, ge=1, description="epochs without a better value before training ends")
    min_delta: float = Field(0.0, ge=0, description="a change smaller than this is not better")


class FitParams(Section):
    """Base of the parameters of every mirrored recipe, which overrides the defaults that suit it."""

    epochs: int = Field(10, ge=1, description="passes over the train split, at most")
    batch_size: int = Field(64, ge=1, description="examples of one step, over all workers together")
    learning_rate: float = Field(1e-3, gt=0, description="at its highest")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="how the learning rate falls to 0 by the last step, after the warm-up"
    )
    warmup_steps: int = Field(0, ge=0, description="steps over which the learning rate rises from 0")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="the Keras optimizer")
    weight_decay: float = Field(0.0, ge=0, description="of adamw")
    clip_norm: float | None = Field(None, gt=0, description="the gradient's global norm is cut to this; null: never")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="of the computation; weights stay float32. mixed_float16 scales the loss"
    )
    class_weight: Literal["balanced"] | None = Field(
        None, description="balanced: an example weighs the inverse of its label's frequency; null: all weigh the same"
    )
    early_stopping: EarlyStopping | None = Field(None, description="end before the last epoch; null: never")
    average: int = Field(
        1,
        ge=1,
        le=20,
        description="so many epochs (the last, or with early_stopping the best) are kept as parts, whose average may "
        "become the candidate",
    )

    @model_validator(mode="after")
    def _decays(self) -> Self:
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(f"weight_decay needs optimizer: adamw, not {self.optimizer}")
        if self.average > self.epochs:
            raise ValueError(f"average {self.average}: there are only {self.epochs} epochs")
        return self


class ClassFitParams(FitParams):
    """Base of the parameters of a mirrored recipe that tells classes apart."""

    imbalance: Resampling | None = Field(None, description=DESCRIPTION)
    focal_gamma: float = Field(
        0.0, ge=0, le=10, description="focal loss: how much less an example counts that is right already; 0: no less"
    )
