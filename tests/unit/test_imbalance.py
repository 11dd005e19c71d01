"""Rare labels: 99 rows of one for each of the other, and what each way does for the rare one."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest

from tasks.models._balance import Imbalance, balanced
from tasks.models._resampling import Resampling
from tasks.models.base import RECIPES
from tasks.step import Shard

WAYS = get_args(Imbalance)
WORDS = [f"word{i}" for i in range(25)]


def rows(count: int, seed: int, rare: float = 0.01) -> pa.Table:
    """Rare documents have some words more often than common ones: never a word of their own."""
    chance = random.Random(seed)
    labels = ["rare" if i % round(1 / rare) == 0 else "common" for i in range(count)]
    texts = [
        " ".join([*chance.choices(WORDS, k=14), *chance.choices(WORDS[:4], k=5 if label == "rare" else 0)])
        for label in labels
    ]
    return pa.table({"uid": [f"{seed} {i}" for i in range(count)], "text": texts, "label": labels})


def recall(made: Any) -> tuple[float, float]:
    """Of the rare label and of the common one, on rows that are as unequal as nature made them."""
    train, unseen = rows(2000, 0), rows(1000, 1)
    features = made.combine([made.count(iter([train]))], train.num_rows)
    model = made.fit(iter([train]), features, Shard())
    said = made.predict(model, unseen["text"].to_pylist()).argmax(axis=1)
    guesses = np.array([made.labels(model)[place] for place in said])
    truths = np.array(unseen["label"].to_pylist())
    return tuple(float((guesses[truths == label] == label).mean()) for label in ("rare", "common"))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("recipe", "params", "ways"),
    [
        ("svm", {}, WAYS),
        ("decision_tree", {"max_depth": 6}, WAYS),
        ("tfidf_forest", {"trees": 40, "max_depth": 6}, WAYS),
        ("naive_bayes", {}, get_args(Resampling)),
    ],
)
def test_every_way_finds_more_of_the_rare_label(recipe: str, params: dict[str, Any], ways: tuple[str, ...]) -> None:
    def make(way: str | None) -> Any:
        found = RECIPES.get(recipe)
        return found(found.Params.model_validate({**params, "imbalance": way}), 0)

    plain, _ = recall(make(None))
    for way in ways:
        rare, common = recall(make(way))
        assert rare > plain + 0.15, way
        assert common > 0.6, way


def test_each_way_makes_labels_equal_in_number_and_keeps_what_is_there() -> None:
    chance = np.random.default_rng(0)
    points, labels = chance.normal(size=(110, 4)), np.array(["a"] * 100 + ["b"] * 9 + ["c"])
    counts = {}
    for way in WAYS:
        some, said = balanced(points, labels, way, 0)
        counts[way] = [int((said == label).sum()) for label in "abc"]
        assert len(some) == len(said)
    assert counts == {
        "class_weights": [100, 9, 1],
        "oversample": [100, 100, 100],
        "undersample": [1, 1, 1],
        "smote": [100, 100, 100],
    }
    some, said = balanced(points, labels, "smote", 0)
    np.testing.assert_array_equal(some[said == "a"], points[:100])
    assert len(np.unique(some[said == "b"], axis=0)) > 50  # between its rows, and not its rows again
    assert len(np.unique(some[said == "c"], axis=0)) == 1


def test_one_label_and_single_rows_are_left_to_the_classifier() -> None:
    points = np.arange(4.0).reshape(4, 1)
    some, said = balanced(points, np.array(["a"] * 4), "smote", 0)
    assert (len(some), set(said)) == (4, {"a"})
    some, said = balanced(points[:2], np.array(["a", "b"]), "smote", 0)
    assert sorted(said) == ["a", "b"]


def test_the_page_on_strategies_names_the_recipes_that_have_each_parameter() -> None:
    page = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()
    found = {}
    for parameter, value, recipes in re.findall(
        r"(?m)^\| `(\w+): (\w+)` \| ([^|]+) \|", page.split("## Unequal classes")[1]
    ):
        found[parameter] = re.findall(r"`(\w+)`", recipes)
        for name in found[parameter]:
            RECIPES.get(name).Params.model_validate({parameter: value})
    # Tests beside this one may have registered recipes of their own.
    there = [name for name in RECIPES.names() if RECIPES.get(name).__module__.startswith("tasks.models.")]
    assert found == {
        parameter: [name for name in there if parameter in RECIPES.get(name).Params.model_fields]
        for parameter in ("class_weight", "imbalance", "focal_gamma")
    }
