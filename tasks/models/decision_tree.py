"""``decision_tree``: one tree over TF-IDF, with calibrated probabilities; the shards' trees vote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tasks.models._classifier import Classifier, ClassifierModel, ClassifierParams
from tasks.models.base import RECIPES
from tasks.section import Section

if TYPE_CHECKING:
    import numpy as np


class DecisionTreeParams(ClassifierParams):
    """Parameters of ``train.recipe.decision_tree``."""

    criterion: Literal["gini", "entropy"] = Field("gini", description="what a branch makes purer")
    max_depth: int | None = Field(None, ge=1, description="levels of the tree; null grows until leaves are pure")
    min_samples_leaf: int = Field(1, ge=1, description="documents that a leaf holds at least")
    pruning: float = Field(
        0.0, ge=0, description="a branch stays if it makes the tree purer by more than this for each of its leaves"
    )


@RECIPES.register("decision_tree")
class DecisionTree(Classifier):
    """scikit-learn's DecisionTreeClassifier: a model that can be read. Of few documents, take one shard.

    Breiman et al., Classification and Regression Trees, 1984; ``pruning`` is their minimal cost-complexity pruning.
    Trees of shards cannot be united into one, so they vote. Each has then seen its shard's rows alone, and what a
    single tree loses by that, a few votes do not make up for (``a share`` of ``make bench-recipes``); a forest does.
    """

    Params: ClassVar[type[Section]] = DecisionTreeParams
    version: ClassVar[int] = 2
    types: ClassVar[frozenset[str]] = frozenset(
        {"sklearn.tree._classes.DecisionTreeClassifier", "sklearn.tree._tree.Tree"}
    )

    def __init__(self, params: DecisionTreeParams, seed: int) -> None:
        super().__init__(params, seed)
        self._params = params

    def estimator(self, seed: int) -> Any:
        from sklearn.tree import DecisionTreeClassifier

        return DecisionTreeClassifier(
            criterion=self._params.criterion,
            max_depth=self._params.max_depth,
            min_samples_leaf=self._params.min_samples_leaf,
            ccp_alpha=self._params.pruning,
            class_weight="balanced" if self._params.imbalance == "class_weights" else None,
            random_state=seed,
        )

    def scores(self, estimator: Any, rows: Any) -> np.ndarray:
        """The classes' shares in each row's leaf."""
        import numpy as np

        return np.asarray(estimator.predict_proba(rows), np.float64)

    def settled(self, estimator: Any) -> Any:
        from tasks.models._forest import settle_tree

        return settle_tree(estimator)

    def verify(self, estimator: Any, features: int, classes: int) -> None:
        from tasks.models._forest import verify_tree

        verify_tree(estimator, features, classes, "the tree")

    def facts(self, model: ClassifierModel) -> dict[str, int]:
        """Terms, nodes and levels."""
        grown = model.estimator
        nodes, depth = (0, 0) if grown is None else (int(grown.tree_.node_count), int(grown.tree_.max_depth))
        return {**super().facts(model), "nodes": nodes, "depth": depth}
