"""The data order of a mirrored training, and its schedules: pure functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.models._fit import FitParams
from tasks.training.mirrored.order import InSequence, Order, share
from tasks.training.mirrored.schedule import LossScale, learning_rate

SIZES = st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(sum)


@given(SIZES, st.integers(1, 40), st.integers(-(2**40), 2**70))
def test_every_epoch_visits_each_example_once(sizes: list[int], batch_size: int, seed: int) -> None:
    order = Order(seed, sizes, batch_size)
    for epoch in range(3):
        batches = [order.batch(epoch * order.steps + step) for step in range(order.steps)]
        assert all(len(batch) == batch_size for batch in batches[:-1])
        assert sorted(np.concatenate(batches)) == list(range(sum(sizes)))


def test_epochs_differ_seeds_differ_and_equal_ones_agree() -> None:
    order, again, other = Order(1, [40, 40], 80), Order(1, [40, 40], 80), Order(2, [40, 40], 80)
    assert not np.array_equal(order.batch(0), order.batch(1))
    assert not np.array_equal(order.batch(0), other.batch(0))
    again.batch(5)
    assert np.array_equal(order.batch(3), again.batch(3))


def test_a_batch_takes_whole_shards_one_after_the_other() -> None:
    order = Order(0, [100] * 8, 25)
    touched = [{int(number) // 100 for number in order.batch(step)} for step in range(order.steps)]
    assert all(len(shards) == 1 for shards in touched)


@given(SIZES, st.integers(1, 20), st.integers(0, 200))
def test_shards_are_asked_for_in_the_order_in_which_they_are_needed(
    sizes: list[int], batch_size: int, step: int
) -> None:
    order = Order(3, sizes, batch_size)
    asked = order.shards_from(step)
    assert sorted(asked) == list(range(len(sizes)))
    starts = np.cumsum([0, *sizes])
    first_needed: list[int] = []
    for later in range(step, step + 2 * order.steps):
        for number in order.batch(later):
            shard = int(np.searchsorted(starts, number, side="right")) - 1
            if shard not in first_needed:
                first_needed.append(shard)
    assert first_needed == [shard for shard in asked if sizes[shard]]


@given(st.integers(1, 50), st.integers(1, 9))
def test_the_shares_of_any_number_of_replicas_are_the_batch(total: int, replicas: int) -> None:
    batch = np.arange(100, 100 + total)
    size = -(-64 // replicas)
    shares = [share(batch, replica, replicas, size) for replica in range(replicas)]
    assert all(len(numbers) == len(weights) == size for numbers, weights in shares)
    real = np.concatenate([numbers[weights > 0] for numbers, weights in shares])
    assert sorted(real) == sorted(batch)
    assert all((numbers[weights == 0] == batch[0]).all() for numbers, weights in shares)


def test_validation_is_read_in_sequence() -> None:
    order = InSequence([5, 2], 3)
    assert order.steps == 3
    batches = [order.batch(step) for step in range(3)]
    assert [batch.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize(("schedule", "half", "last"), [("constant", 1, 1), ("linear", 0.5, 0.01), ("cosine", 0.5, 0)])
def test_the_rate_warms_up_and_falls_as_the_schedule_says(schedule: str, half: float, last: float) -> None:
    params = FitParams.model_validate({"learning_rate": 1, "schedule": schedule, "warmup_steps": 10})
    rates = [learning_rate(params, step, 110) for step in range(110)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == 1
    assert rates[60] == pytest.approx(half)
    assert rates[109] == pytest.approx(last, abs=1e-3)


def test_the_loss_scale_halves_on_overflow_and_doubles_after_many_good_steps() -> None:
    scale = LossScale.of("mixed_float16")
    start = scale.value
    assert scale.after(finite=False).value == start / 2
    for _ in range(2000):
        assert scale.value == start
        scale = scale.after(finite=True)
    assert scale.value == start * 2
    assert math.isclose(LossScale.of("mixed_bfloat16").after(finite=False).value, 1.0)
