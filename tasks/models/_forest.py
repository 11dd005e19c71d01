"""Operations on a fitted forest's trees that scikit-learn has no call for: settle, unite, verify."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.errors import Corrupt

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.tree import DecisionTreeClassifier

_LEAF = -1


def settle(forest: RandomForestClassifier) -> RandomForestClassifier:
    """The same forest with every field of its trees defined.

    A fitted tree's leaves have a field that was never set: memory that happened to be there. Saved as
    they are, equal forests would give unequal files.
    """
    return unite([forest], [str(label) for label in forest.classes_])


def unite(forests: Sequence[RandomForestClassifier], labels: Sequence[str]) -> RandomForestClassifier:
    """One forest of all the trees, over the classes ``labels`` (sorted; each forest knows some of them).

    Its probabilities are the mean over all trees, each tree giving 0 to classes that it never saw.
    """
    trees = []
    for forest in forests:
        columns = np.searchsorted(labels, forest.classes_)
        trees += [_with_classes(tree, columns, len(labels)) for tree in forest.estimators_]
    united = copy.copy(forests[0])
    united.estimators_ = trees
    united.n_estimators = len(trees)
    united.classes_ = np.array(labels)
    united.n_classes_ = len(labels)
    return united


def verify(forest: RandomForestClassifier, features: int) -> None:
    """Refuse a loaded forest whose trees would make scikit-learn read outside its arrays.

    Raises:
        Corrupt: a child or feature index out of range, or shapes that do not fit together.
    """
    if forest.n_features_in_ != features or len(forest.classes_) != forest.n_classes_:
        raise Corrupt(f"the forest has {forest.n_features_in_} features and its vocabulary {features}")
    for number, estimator in enumerate(forest.estimators_):
        verify_tree(estimator, features, int(forest.n_classes_), f"tree {number} of the forest")


def settle_tree(estimator: DecisionTreeClassifier) -> DecisionTreeClassifier:
    """The same tree with every field defined; its classes become numbers."""
    classes = len(estimator.classes_)
    return _with_classes(estimator, np.arange(classes), classes)


def verify_tree(estimator: DecisionTreeClassifier, features: int, classes: int, name: str) -> None:
    """Refuse a loaded tree that would make scikit-learn read outside its arrays.

    Raises:
        Corrupt: a child or feature index out of range, or shapes that do not fit together.
    """
    tree = estimator.tree_
    own = np.arange(tree.node_count)
    inner = tree.children_left != _LEAF
    children = np.stack([tree.children_left, tree.children_right])[:, inner]
    used = tree.feature[inner]
    if (
        tree.n_features != features
        or estimator.n_classes_ != classes
        or tree.value.shape[1:] != (1, classes)
        or not ((children > own[inner]) & (children < tree.node_count)).all()
        or not ((used >= 0) & (used < features)).all()
    ):
        raise Corrupt(f"{name} points outside its own arrays")


def _with_classes(estimator: DecisionTreeClassifier, columns: np.ndarray, classes: int) -> DecisionTreeClassifier:
    """A copy of a tree whose class ``i`` is now class ``columns[i]`` of ``classes``."""
    from sklearn.tree._tree import Tree

    state: dict[str, Any] = estimator.tree_.__getstate__()
    nodes = state["nodes"].copy()
    nodes["missing_go_to_left"][nodes["left_child"] == _LEAF] = 0
    values = np.zeros((len(nodes), 1, classes))
    values[:, :, columns] = state["values"]

    tree = Tree(estimator.tree_.n_features, np.array([classes], dtype=np.intp), 1)
    tree.__setstate__({**state, "nodes": nodes, "values": values})
    settled = copy.copy(estimator)
    settled.tree_ = tree
    settled.classes_ = np.arange(classes, dtype=np.float64)
    settled.n_classes_ = classes
    return settled
