"""``svm``: a linear support vector machine over TF-IDF, with calibrated probabilities; the shards' machines vote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tasks.errors import Corrupt
from tasks.models._classifier import Classifier, ClassifierModel, ClassifierParams
from tasks.models.base import RECIPES
from tasks.section import Section

if TYPE_CHECKING:
    import numpy as np


class SvmParams(ClassifierParams):
    """Parameters of ``train.recipe.svm``."""

    sublinear_tf: bool = Field(True, description="count a term as 1 + ln(occurrences)")
    c: float = Field(
        1.0, gt=0, description="cost of an error against a wide margin: larger fits the train split closer"
    )
    loss: Literal["hinge", "squared_hinge"] = Field(
        "squared_hinge", description="what an error within the margin costs"
    )
    max_iterations: int = Field(10_000, ge=1, description="of the solver, which ends earlier where nothing changes")


@RECIPES.register("svm")
class Svm(Classifier):
    """scikit-learn's LinearSVC, one label against the rest: the margin that holds up best where words are many.

    Joachims, Text Categorization with Support Vector Machines, 1998.
    """

    Params: ClassVar[type[Section]] = SvmParams
    version: ClassVar[int] = 2
    types: ClassVar[frozenset[str]] = frozenset({"sklearn.svm._classes.LinearSVC"})

    def __init__(self, params: SvmParams, seed: int) -> None:
        super().__init__(params, seed)
        self._params = params

    def estimator(self, seed: int) -> Any:
        from sklearn.svm import LinearSVC

        return LinearSVC(
            C=self._params.c,
            loss=self._params.loss,
            class_weight="balanced" if self._params.imbalance == "class_weights" else None,
            max_iter=self._params.max_iterations,
            random_state=seed,
        )

    def scores(self, estimator: Any, rows: Any) -> np.ndarray:
        """Signed distances from each label's margin, in units of half its width."""
        import numpy as np

        distances = np.asarray(estimator.decision_function(rows), np.float64)
        return distances if distances.ndim == 2 else np.stack([-distances, distances], axis=1)

    def verify(self, estimator: Any, features: int, classes: int) -> None:
        import numpy as np

        columns = 1 if classes == 2 else classes
        weights, offsets = np.asarray(estimator.coef_), np.asarray(estimator.intercept_)
        if weights.shape != (columns, features) or offsets.shape != (columns,) or len(estimator.classes_) != classes:
            raise Corrupt(f"the machine has weights {weights.shape} for {classes} labels and {features} terms")
        if not (np.isfinite(weights).all() and np.isfinite(offsets).all()):
            raise Corrupt("the machine's weights are not all finite")

    def facts(self, model: ClassifierModel) -> dict[str, int]:
        """Terms and weights."""
        size = 0 if model.estimator is None else model.estimator.coef_.size + model.estimator.intercept_.size
        return {**super().facts(model), "parameters": int(size)}
