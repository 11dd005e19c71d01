"""A language model trained by real processes: what its lanes carry goes on over a kill, and over other workers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tasks.catalog import Manifest
from tasks.training import load_model
from tests.mirrored.case import Build, Case
from tests.mirrored.play import Gang

pytestmark = pytest.mark.integration

RECIPE = {
    "vocabulary": 300,
    "window": 4,
    "layers": 2,
    "dimension": 8,
    "units": 6,
    "batch_size": 4,
    "epochs": 3,
    "learning_rate": 0.02,
}


@pytest.fixture
def case(build: Callable[..., Build]) -> Build:
    return build(sentences)


def sentences(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Words of which each gives the next away, most of the time."""
    draw, words = random.Random(seed), ["one", "two", "three", "four", "five", "six"]
    rows = []
    for number in range(count):
        at, said = draw.randrange(6), list[str]()
        for _ in range(12):
            said.append(words[at])
            at = (at + 1) % 6 if draw.random() < 0.9 else draw.randrange(6)
        rows.append({"text": " ".join(said), "url": f"http://site/{seed}/{number}"})
    return rows


def model_of(case: Build, **params: Any) -> Case:
    return case(train={"recipe": {"language_model": {**RECIPE, **params}}})


def weights(given: Case) -> list[np.ndarray]:
    return list(load_model(given.context, given.part)[1].weights)


def trained(given: Case, workers: int) -> Manifest:
    with given.gang(workers) as gang:
        assert gang.start() == 0
        gang.finish()
    return given.part


def killed_after(gang: Gang, step: int) -> None:
    gang[0].until(lambda event: event["event"] == "saved" and event["step"] >= step)
    for worker in reversed(gang.workers):
        worker.kill()


@pytest.mark.parametrize("architecture", ["lstm", "transformer"])
def test_one_worker_trains_and_two_train_the_same(case: Build, architecture: str) -> None:
    given = model_of(case, architecture=architecture, heads=2, memory=4, dropout=0.0)
    alone = trained(given, 1)
    assert alone.counts["rows"] == 60, "documents, not windows"
    assert alone.details["epoch"]["validation"]["loss"] < 2.5
    one = weights(given)
    together = trained(given.afresh(), 2)
    assert together.volatile["workers"] == 2
    assert together.details["epoch"]["loss"] == pytest.approx(alone.details["epoch"]["loss"], rel=1e-3)
    for mine, theirs in zip(one, weights(given), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)


def test_killed_in_mid_epoch_it_goes_on_with_what_its_lanes_carried(case: Build) -> None:
    given = model_of(case, dropout=0.3, epochs=6)
    undisturbed = trained(given, 2)
    given.afresh()
    with given.gang(2) as gang:
        assert gang.start() == 0
        killed_after(gang, 20)
    with given.gang(2) as gang:
        assert gang.start() >= 20
        gang.finish()
    assert given.part.digest() == undisturbed.digest(), "to the bit, curves and all"


def test_other_workers_go_on_with_what_the_lanes_carried(case: Build) -> None:
    given = model_of(case, dropout=0.0, epochs=6)
    trained(given, 1)
    one = weights(given)
    given.afresh()
    with given.gang(2) as gang:
        assert gang.start() == 0
        killed_after(gang, 20)
    with given.gang(1) as gang:
        assert gang.start() >= 20
        gang.finish()
    for mine, theirs in zip(one, weights(given), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-3)


def test_trained_evaluated_merged_and_told(case: Build) -> None:
    given = model_of(case, average=2, epochs=8, dropout=0.0)
    trained(given, 2)
    for part in given.training.parts:
        given.run("evaluate", "--part", str(part))
    merged = given.run("merge")
    assert merged["counts"]["chosen"] in {"average", "part 0/2", "part 1/2"}
    told = given.run("evaluate")
    report = given.context.catalog.load(given.training.report(), made_by="evaluate")
    for split in ("validation", "test"):
        metrics = report.details["metrics"][split]
        assert 1 < metrics["perplexity"] < 0.6 * metrics["baseline"]
    assert told["counts"]["perplexity"] == report.details["metrics"]["validation"]["perplexity"]
    page = given.context.store.read(report.of_role("report")[0].key).decode()
    assert "Loss and metrics of each epoch" in page and "What it writes" in page and "bits a byte" in page


def test_a_loss_that_is_no_number_ends_the_training_and_says_what_to_do(case: Build) -> None:
    # At 1e30 the gates are saturated, and the loss is large but a number.
    given = model_of(case, optimizer="sgd", learning_rate=1e38, clip_norm=None)
    with given.gang(1) as gang:
        error = gang.fails()
    assert error["type"] == "BadInput"
    assert "the loss is not a number any more at step" in error["message"]
    assert "learning_rate" in error["message"]
