"""The area under the ROC curve, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tasks.training import auc
from tasks.training.auc import Ranks, macro

LABELS = ("a", "b", "c")


@settings(max_examples=60)
@given(rows=st.integers(2, 40), seed=st.integers(0, 2**32 - 1), steps=st.sampled_from([4, 1000]))
def test_areas_are_those_of_scikit_learn(rows: int, seed: int, steps: int) -> None:
    chance = np.random.default_rng(seed)
    chances = np.round(chance.dirichlet([0.3] * 3, size=rows) * steps) / steps  # some are equal
    truths = chance.choice(list(LABELS), size=rows).tolist()
    ranks = Ranks(LABELS)
    ranks.add(truths[:1], chances[:1])
    ranks.add(truths[1:], chances[1:])
    expected = {
        label: roc_auc_score([true == label for true in truths], chances[:, place])
        for place, label in enumerate(LABELS)
        if 0 < truths.count(label) < rows
    }
    # Nearer than a two-thousandth of themselves, probabilities count as equal: here steps are further apart.
    assert ranks.areas() == pytest.approx(expected, abs=1e-12)


def test_surest_rows_are_told_apart() -> None:
    ranks = Ranks(["a", "b"])
    sure = np.array([1 - 1e-9, 1 - 1e-6, 1e-9, 1e-6])
    ranks.add(["a", "b", "b", "a"], np.stack([sure, 1 - sure], axis=1))
    assert ranks.areas() == {"a": 0.75, "b": 0.75}


def test_ranks_counted_early_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(3)
    chances, truths = chance.dirichlet([1] * 3, size=50), chance.choice(list(LABELS), size=50).tolist()
    areas = []
    for held in (auc._HELD, 10):
        monkeypatch.setattr(auc, "_HELD", held)
        ranks = Ranks(LABELS)
        for start in range(0, 50, 7):
            ranks.add(truths[start : start + 7], chances[start : start + 7])
        areas.append(ranks.areas())
    assert areas[0] == areas[1]


def test_without_rows_of_both_kinds_there_is_no_area() -> None:
    ranks = Ranks(["a", "b"])
    assert ranks.areas() == {}
    assert macro(ranks.areas()) is None
    ranks.add(["unknown", "unknown"], np.array([[0.4, 0.6], [0.5, 0.5]]))
    assert ranks.areas() == {}
