"""Cross-validation: fold ``fold`` of ``folds`` validates, the next one tests, the rest trains."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from tasks.section import Section
from tasks.splits.base import STRATEGIES, Ratios

if TYPE_CHECKING:
    import pyarrow as pa


class KFoldParams(Section):
    """Which fold of how many."""

    folds: int = Field(5, ge=3, le=100, description="how many parts")
    fold: int = Field(0, ge=0, description="the fold that validates, counted from 0")

    @model_validator(mode="after")
    def _is_a_fold(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"fold {self.fold} of {self.folds} folds: expected 0 to {self.folds - 1}")
        return self


@STRATEGIES.register("kfold")
class KFold:
    """Folds of equal size (within one document), by a seeded hash of the uid; ``split.ratios`` play no part."""

    Params = KFoldParams
    frozen = False

    def __init__(self, params: KFoldParams, ratios: Ratios, seed: int) -> None:
        self._params = params
        self._seed = seed

    def assign(self, documents: pa.Table) -> pa.Array:
        import pyarrow as pa

        uids = documents["uid"].to_pylist()
        order = sorted(range(len(uids)), key=lambda i: hashlib.sha256(f"{self._seed}:{uids[i]}".encode()).digest())
        roles = {self._params.fold: "validation", (self._params.fold + 1) % self._params.folds: "test"}
        splits = [""] * len(uids)
        for position, row in enumerate(order):
            splits[row] = roles.get(position % self._params.folds, "train")
        return pa.array(splits, pa.string())
