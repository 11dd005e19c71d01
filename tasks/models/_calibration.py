"""Probabilities from a classifier's scores, by Platt's sigmoids fitted on rows that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Fit = Callable[[Any, Any], Any]
"""Of rows and their labels, a fitted classifier with ``classes_``."""
Score = Callable[[Any, Any], Any]
"""Of a classifier and rows, a score of each row and class, shape ``(rows, len(classes_))``."""


@dataclass(frozen=True, slots=True)
class Sigmoids:
    """Of each class ``1 / (1 + exp(-(slope * score + offset)))``; float64, shape ``(classes,)``."""

    slopes: np.ndarray
    offsets: np.ndarray

    def chances(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of rows that sum to 1, from scores of shape ``(rows, classes)``."""
        import numpy as np
        from scipy.special import expit

        chances = np.asarray(expit(self.slopes * scores + self.offsets), np.float64)
        if chances.shape[1] == 2:
            # One question asked twice: the second class's answer is the one that both follow.
            chances[:, 0] = 1 - chances[:, 1]
        # A row that every class denies outright is nobody's in particular.
        chances += np.finfo(np.float64).tiny
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def calibrate(
    fit: Fit, score: Score, rows: Any, labels: Sequence[str], folds: int, seed: int, *, even: bool = False
) -> Sigmoids:
    """Sigmoids for the classes of ``labels``, sorted, from scores out of ``folds`` folds.

    Each fold keeps the classes' shares where they have that many rows; a class with a single row, which no
    fold can both learn and be asked about, has the sigmoid of a slope 1: its score says what there is.

    With ``even`` all classes weigh the same, as if they were equally frequent: what was balanced for a classifier is
    not taken back by its calibration.

    Platt, Probabilistic Outputs for Support Vector Machines, 1999, section 2; one class against the rest as in
    Zadrozny and Elkan, Transforming Classifier Scores into Accurate Multiclass Probability Estimates, 2002.
    """
    import numpy as np

    known = np.asarray(labels)
    classes = np.unique(known)
    scores = np.full((len(known), len(classes)), np.nan)
    for inside, outside in _folds(known, folds, seed):
        if len(np.unique(known[inside])) < 2:
            continue
        fitted = fit(rows[inside], known[inside])
        columns = np.searchsorted(classes, fitted.classes_)
        scores[np.ix_(outside, columns)] = score(fitted, rows[outside])
    weights = np.ones(len(known))
    if even:
        places, counts = np.searchsorted(classes, known), np.unique(known, return_counts=True)[1]
        weights = (len(known) / (len(classes) * counts))[places]
    slopes, offsets = np.ones(len(classes)), np.zeros(len(classes))
    for column, label in enumerate(classes):
        there = np.isfinite(scores[:, column])
        if len(np.unique(known[there] == label)) == 2:
            slopes[column], offsets[column] = _sigmoid(scores[there, column], known[there] == label, weights[there])
    return Sigmoids(slopes, offsets)


def _folds(labels: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    import warnings

    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    folds = min(folds, int(np.unique(labels, return_counts=True)[1].max()))
    if folds < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a rare class is in some folds only, which is provided for
        parted = StratifiedKFold(folds, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels)
        return list(parted)


def _sigmoid(scores: np.ndarray, hits: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the likeliest sigmoid for Platt's targets, which lie within 0 and 1.

    A row of target t is one of weight t that is a hit and one of weight 1 - t that is none.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    of, rest = int(hits.sum()), int((~hits).sum())
    target = np.where(hits, (of + 1) / (of + 2), 1 / (rest + 2))
    # Scores of any width look alike to the solver, whose steps and end depend on it.
    wide = float(np.abs(scores).max()) or 1.0
    model = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-8)
    model.fit(
        np.concatenate([scores, scores])[:, None] / wide,
        np.repeat([1, 0], len(scores)),
        sample_weight=np.concatenate([weights * target, weights * (1 - target)]),
    )
    return float(model.coef_[0, 0]) / wide, float(model.intercept_[0])
