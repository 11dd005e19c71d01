"""What several models become: averages, sums, votes, by numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import BadInput, Corrupt
from tasks.models._merging import average, by_name, soft_vote, sum_counts
from tasks.models._voting import Votes, Voting
from tests.champions import Keyword, KeywordParams

ETA = 0.1


def gradient(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of the mean squared error of a linear model."""
    return np.asarray(2 * x.T @ (x @ w - y) / len(x))


@settings(max_examples=50)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1))
def test_the_average_of_parts_that_took_a_step_is_the_step_of_all_their_data(sizes: list[int], seed: int) -> None:
    """w <- w - eta * sum |D_i| / |D| * grad L(w; D_i)."""
    chance = np.random.default_rng(seed)
    w = chance.normal(size=3)
    data = [(chance.normal(size=(n, 3)), chance.normal(size=n)) for n in sizes]
    shares = [n / sum(sizes) for n in sizes]
    stepped = [[w - ETA * gradient(w, x, y)] for x, y in data]

    (merged,) = average(stepped, shares)

    slope = sum(share * gradient(w, x, y) for share, (x, y) in zip(shares, data, strict=True))
    np.testing.assert_allclose(merged, w - ETA * slope, rtol=1e-10, atol=1e-12)
    everything = gradient(w, np.concatenate([x for x, _ in data]), np.concatenate([y for _, y in data]))
    np.testing.assert_allclose(merged, w - ETA * everything, rtol=1e-10, atol=1e-12)


def test_the_average_of_equal_checkpoints_is_the_checkpoint_itself() -> None:
    array = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    (merged,) = average([[array]] * 3, [1 / 3] * 3)
    assert merged.dtype == np.float32
    np.testing.assert_array_equal(merged, array)


def test_parts_of_other_shapes_are_not_averaged() -> None:
    with pytest.raises(BadInput, match="different shapes"):
        average([[np.zeros(2)], [np.zeros(3)]], [0.5, 0.5])


def test_counts_are_summed_key_by_key() -> None:
    assert sum_counts([{"b": 1, "a": 2}, {"b": 3}, {}]) == {"a": 2, "b": 4}


def test_a_vote_is_the_weighted_mean_and_0_for_what_a_part_never_saw() -> None:
    first, second = np.array([[0.25, 0.75]]), np.array([[1.0]])
    mean = soft_vote([first, second], [["a", "c"], ["b"]], [0.8, 0.2], ["a", "b", "c"])
    np.testing.assert_allclose(mean, [[0.2, 0.2, 0.6]])


def test_slices_are_taken_over_by_name_and_the_rest_stays() -> None:
    start, champion = np.zeros((3, 2)), np.array([[1.0, 1.0], [2.0, 2.0]])
    np.testing.assert_array_equal(by_name(start, ["a", "b", "c"], champion, ["c", "x"]), [[0, 0], [0, 0], [1, 1]])
    np.testing.assert_array_equal(by_name(start.T, ["a", "b", "c"], champion.T, ["c", "x"], axis=1)[:, 2], [1, 1])
    assert not start.any()
    with pytest.raises(BadInput, match="shape"):
        by_name(start, ["a", "b", "c"], np.ones((2, 5)), ["a", "b"])


def test_a_vote_predicts_is_saved_and_is_read_back(tmp_path: Path) -> None:
    recipe = Keyword(KeywordParams(surety=0.9), 0)
    voting = Voting(recipe, [0.75, 0.25])
    votes = Votes([{"moon": "a", "sun": "b"}, {"moon": "b", "sun": "c"}], [0.75, 0.25])
    assert voting.labels(votes) == ["a", "b", "c"]
    chances = voting.predict(votes, ["the moon"])
    np.testing.assert_allclose(chances, [[0.75 * 0.9, 0.75 * 0.1 + 0.25 * 0.9, 0.25 * 0.1]])
    assert voting.facts(votes) == {"voters": 2, "words": 4}

    voting.save(votes, tmp_path)
    loaded = voting.load(tmp_path)
    np.testing.assert_array_equal(voting.predict(loaded, ["the moon"]), chances)
    (tmp_path / "2").mkdir()
    with pytest.raises(Corrupt, match="a vote of 2 parts holds 0, 1, 2"):
        voting.load(tmp_path)


def test_merges_that_a_recipe_names_are_ones_of_the_configuration() -> None:
    from tasks.config.train import Train
    from tasks.models.base import RECIPES

    for name in RECIPES.names():
        for way in RECIPES.get(name).merges:
            assert Train.model_validate({"recipe": name, "merge": way}).merge == way
