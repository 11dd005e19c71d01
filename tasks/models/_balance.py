"""What a train split of rare and common labels becomes before a classifier sees it; no other split changes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

Imbalance = Literal["class_weights", "oversample", "undersample", "smote"]
DESCRIPTION = (
    "what makes rare labels count as much as common ones, in the train split alone: class_weights, oversample (rows "
    "again), undersample (fewer rows), smote (points between rows); null: nothing"
)
_NEIGHBOURS = 5


def balanced(rows: Any, labels: np.ndarray, way: Imbalance | None, seed: int) -> tuple[Any, np.ndarray]:
    """Rows and labels with as many of each label, by resampling; as they are for class weights, or no way at all.

    ``oversample`` repeats rows of rare labels, ``undersample`` leaves rows of common ones out, ``smote`` adds points
    between a rare label's rows and their nearest of the same label (Chawla et al., SMOTE, 2002); a label of a
    single row has none between, and is repeated. By imbalanced-learn, on features.
    """
    import numpy as np

    if way in (None, "class_weights") or len(np.unique(labels)) < 2:
        return rows, labels
    from imblearn.over_sampling import SMOTE, RandomOverSampler
    from imblearn.under_sampling import RandomUnderSampler

    if way == "oversample":
        return _both(RandomOverSampler(random_state=seed).fit_resample(rows, labels))
    if way == "undersample":
        return _both(RandomUnderSampler(random_state=seed).fit_resample(rows, labels))
    counts = Counter(labels.tolist())
    most = max(counts.values())
    single = {label: most for label, n in counts.items() if n == 1}
    if single:
        rows, labels = _both(RandomOverSampler(sampling_strategy=single, random_state=seed).fit_resample(rows, labels))
    fewest = min(n for n in counts.values() if n > 1) if max(counts.values()) > 1 else 1
    neighbours = min(_NEIGHBOURS, fewest - 1)
    return (
        _both(SMOTE(k_neighbors=neighbours, random_state=seed).fit_resample(rows, labels))
        if neighbours
        else (rows, labels)
    )


def _both(found: tuple[Any, Any]) -> tuple[Any, np.ndarray]:
    import numpy as np

    rows, labels = found
    return rows, np.asarray(labels)
