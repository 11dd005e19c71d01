"""99 rows of one label for each of the other, trained by real processes: what finds the rare one."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from tasks.training import load_model
from tests.mirrored.case import Build

pytestmark = pytest.mark.integration

WORDS = [f"word{i}" for i in range(25)]
SMALL: dict[str, dict[str, Any]] = {
    "logistic": {"epochs": 6, "batch_size": 64, "learning_rate": 0.03},
    "text_encoder": {
        "epochs": 4,
        "batch_size": 64,
        "dimension": 16,
        "filters": 16,
        "max_tokens": 24,
        "learning_rate": 0.01,
    },
}


@pytest.fixture
def case(build: Callable[..., Build]) -> Build:
    return build(documents)


def documents(count: int, seed: int) -> list[dict[str, Any]]:
    """Rare documents have some words more often than common ones: never a word of their own."""
    chance, rows = random.Random(seed), []
    for number in range(count):
        label = "common" if number % 100 else "rare"
        words = [*chance.choices(WORDS, k=14), *chance.choices(WORDS[:4], k=5 if label == "rare" else 0)]
        chance.shuffle(words)
        rows.append({"text": " ".join(words), "label": label, "url": f"http://site/{seed}/{number}"})
    return rows


@pytest.mark.parametrize("recipe", SMALL)
def test_weights_focal_loss_and_rows_again_find_more_of_the_rare_label(recipe: str, case: Build) -> None:
    unseen = pa.Table.from_pylist(documents(3000, 7))
    truths = unseen["label"].to_pylist()

    def recall(**params: Any) -> tuple[float, float]:
        given = case(2000, train={"recipe": {recipe: {**SMALL[recipe], **params}}})
        with given.gang(1) as gang:
            assert gang.start() == 0
            gang.finish()
        made, model = load_model(given.context, given.part)
        labels = made.labels(model)
        said = [labels[place] for place in made.predict(model, unseen["text"].to_pylist(), {}).argmax(axis=1)]
        given.afresh()
        hits = {label: [a == b for a, b in zip(said, truths, strict=True) if b == label] for label in labels}
        return tuple(sum(hits[label]) / len(hits[label]) for label in ("rare", "common"))  # type: ignore[return-value]

    (plain, _), focal = recall(), {"focal_gamma": 2.0, "class_weight": "balanced"}
    for params in ({"class_weight": "balanced"}, focal, {"imbalance": "oversample"}):
        rare, common = recall(**params)
        assert rare > plain + 0.15, params
        assert common > 0.6, params
