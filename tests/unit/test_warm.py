"""A warm start: from which champion, with which weights, and why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from tasks.config import Corpus
from tasks.models.logistic import Logistic, LogisticModel, LogisticParams
from tasks.step import Context
from tasks.training import Training
from tasks.training.warm import warm_start
from tests.champions import candidate, crowned, documents

Make = Callable[..., Any]


@pytest.fixture
def context(make_context: Make, make_corpus: Make) -> Context:
    return with_train(make_context(make_corpus()))


def with_train(context: Context, recipe: Any = "logistic", warm: bool = True) -> Context:
    """The context with another ``train`` section."""
    values = context.corpus.model_dump(mode="json")
    values["train"] = {"recipe": recipe, "shards": 1, "warm_start": warm, "slices": []}
    return replace(context, corpus=Corpus.model_validate(values))


def made(rows: list[dict[str, Any]]) -> tuple[Logistic, pa.Table, LogisticModel]:
    """The recipe, the features of rows, and a model that counts up."""
    recipe = Logistic(LogisticParams(), 0)
    table = pa.table({"text": [row["text"] for row in rows], "label": [row["label"] for row in rows]})
    features = recipe.combine([recipe.count(iter([table]))], len(rows))
    size = features.num_rows + 1
    return (
        recipe,
        features,
        recipe.model([np.arange(size, dtype=np.float32)[:, None], np.ones(1, np.float32)], features),
    )


def begun(context: Context, training: Training, rows: list[dict[str, Any]]) -> tuple[Any, list[Any]]:
    recipe, features, model = made(rows)
    start = [np.zeros_like(array) for array in model.weights]
    with capture_logs() as said:
        weights = warm_start(context, training, recipe, features, start)
    return weights, [line.get("why", line["event"]) for line in said]


def test_training_begins_with_the_champions_weights(context: Context) -> None:
    rows = documents(20)
    *_, model = made(rows)
    champion = crowned(context, words=model)  # type: ignore[arg-type]
    later = candidate(context, seed=50, words=model)  # type: ignore[arg-type]
    beginning, said = begun(context, later, rows)
    assert beginning.champion == {"version": 1, "run": champion.run}
    weights = beginning.weights
    np.testing.assert_array_equal(weights[0], model.weights[0])
    np.testing.assert_array_equal(weights[1], [1])
    assert said == ["warm start"]


def test_without_a_champion_or_the_wish_training_begins_at_random(context: Context) -> None:
    rows = documents(20)
    *_, model = made(rows)
    training = candidate(context, words=model)  # type: ignore[arg-type]
    assert begun(context, training, rows) == (None, ["there is no champion yet"])
    crowned(context, seed=50, words=model)  # type: ignore[arg-type]
    off = with_train(context, warm=False)
    assert begun(off, Training.of(off.corpus, training.snapshot), rows) == (None, [])


def test_a_run_is_no_start_for_itself(context: Context) -> None:
    rows = documents(20)
    *_, model = made(rows)
    training = crowned(context, words=model)  # type: ignore[arg-type]
    assert begun(context, training, rows) == (None, ["the champion is this very run's"])


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        ({"logistic": {"bits": 12}}, "champion 1 was trained with another bits"),
        ({"logistic": {"learning_rate": 0.5}}, "warm start"),
        ({"logistic": {"l2": 0.1}}, "warm start"),
    ],
)
def test_a_champion_whose_features_are_others_is_named(context: Context, recipe: Any, why: str) -> None:
    rows = documents(20)
    *_, model = made(rows)
    other = with_train(context, recipe)
    champion = crowned(other, words=model)  # type: ignore[arg-type]
    _, said = begun(context, Training.of(context.corpus, champion.snapshot), rows)
    assert said == [why]


def test_a_champion_of_another_recipe_is_named(context: Context) -> None:
    keyword = with_train(context, "keyword", warm=False)
    champion = crowned(keyword)
    weights, said = begun(context, Training.of(context.corpus, champion.snapshot), documents(20))
    assert (weights, said) == (None, ["champion 1 is a keyword, not a logistic"])


def test_a_champion_that_tells_other_labels_apart_does_not_fit(context: Context) -> None:
    *_, model = made(documents(20, labels="cd"))
    champion = crowned(with_train(context, {"logistic": {"learning_rate": 0.5}}), words=model)  # type: ignore[arg-type]
    weights, said = begun(context, Training.of(context.corpus, champion.snapshot), documents(20))
    assert weights is None
    assert said == ["champion 1 does not fit: it tells c, d apart, this network a, b"]
