"""``linear_regression``: a weighted sum of a table's columns; the shards' weights are averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from tasks.models._clusters import same_frame
from tasks.models._merging import average
from tasks.models._regression import Regression, RegressionParams
from tasks.models._space import Frame
from tasks.models._telling import Sheet
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.section import Section
from tasks.step import Shard

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class LinearRegressionParams(RegressionParams):
    """Parameters of ``train.recipe.linear_regression``."""

    l2: float = Field(
        1e-4, ge=0, description="penalty a row: half of this times the sum of the squared weights (ridge)"
    )


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A weight of each axis, of a column in its deviations, ``(axes,)``, and what is said at the mean, ``(1,)``."""

    frame: Frame
    weights: np.ndarray
    intercept: np.ndarray


@RECIPES.register("linear_regression")
class LinearRegression(Regression):
    """scikit-learn's Ridge on standardised columns: what every other regression must beat, and what can be read."""

    Params: ClassVar[type[Section]] = LinearRegressionParams
    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("scikit-learn", "numpy", "safetensors")
    merges: ClassVar[tuple[str, ...]] = ("average",)

    def __init__(self, params: LinearRegressionParams, seed: int) -> None:
        super().__init__(params, seed)
        self._params = params

    def fit(self, batches: Iterator[pa.Table], features: pa.Table, shard: Shard) -> LinearModel:
        import numpy as np
        from sklearn.linear_model import Ridge

        frame = self._space.frame(features)
        points, targets = self.rows(batches, frame)
        # solver svd: it has an answer where columns depend on each other, or are more than the shard's rows.
        found = Ridge(alpha=self._params.l2 * len(points), solver="svd").fit(points, targets)
        return LinearModel(frame, np.asarray(found.coef_, np.float64), np.array([found.intercept_], np.float64))

    def merge(self, models: Sequence[LinearModel], weights: Sequence[float]) -> LinearModel:
        frame = same_frame(models)
        means = average([[model.weights, model.intercept] for model in models], weights)
        return LinearModel(frame, *means)

    def labels(self, model: LinearModel) -> list[str]:
        return []

    def predict(self, model: LinearModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        """One number a row, shape ``(rows,)``."""
        import numpy as np

        return np.asarray(self._space.points(model.frame, texts, columns) @ model.weights + model.intercept[0])

    def facts(self, model: LinearModel) -> dict[str, int]:
        """Weights."""
        return {"parameters": len(model.weights) + 1, "vocabulary": len(model.frame.terms)}

    def sheets(self, model: LinearModel) -> list[Sheet]:
        """Each column's weight, for the report."""
        scale = model.frame.arrays["scale"]
        rows = [
            (name, weight, weight / wide)
            for name, weight, wide in zip(model.frame.terms, model.weights.tolist(), scale.tolist(), strict=True)
        ]
        ranked = sorted(rows, key=lambda row: (-abs(row[1]), row[0]))
        note = f"{model.intercept[0]:,.6g} at the mean of all columns, and of each column its weight more."
        return [Sheet("Weights", ("column", "of one deviation", "of one unit"), ranked, note)]

    def save(self, model: LinearModel, folder: Path) -> None:
        from tasks.models import _tensors

        tensors = {**model.frame.arrays, "weights": model.weights, "intercept": model.intercept}
        _tensors.write(folder, tensors, {"terms": model.frame.terms})

    def load(self, folder: Path) -> LinearModel:
        from tasks.models import _tensors

        tensors, lists = _tensors.read(folder, ("terms",))
        axes = len(lists["terms"])
        own = self._space.layout(axes, axes)
        layout = {**own, "weights": ("float64", (axes,)), "intercept": ("float64", (1,))}
        arrays = dict(zip(layout, _tensors.checked(tensors, layout), strict=True))
        frame = Frame(lists["terms"], {name: arrays[name] for name in own})
        return LinearModel(frame, arrays["weights"], arrays["intercept"])
