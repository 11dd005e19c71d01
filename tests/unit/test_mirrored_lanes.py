"""Lanes of a stream: each goes on where it was, and every epoch reads every window once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tasks.training.mirrored.lanes import Lanes
from tasks.training.mirrored.order import share

SIZES = [[24], [10, 0, 7], [3], [5, 6]]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("batch_size", [1, 4, 8])
def test_every_epoch_reads_every_window_once_and_a_lane_reads_on(sizes: list[int], batch_size: int) -> None:
    lanes = Lanes(7, sizes, batch_size)
    for epoch in (0, 1):
        batches = [lanes.batch(epoch * lanes.steps + step) for step in range(lanes.steps)]
        assert sorted(np.concatenate(batches)) == list(range(sum(sizes)))
        for before, after in itertools.pairwise(batches):
            assert len(after) <= len(before)
            assert (after == (before[: len(after)] + 1) % sum(sizes)).all(), "the row of a batch is a lane"


def test_where_the_stream_is_cut_is_drawn_by_seed_and_epoch_and_not_drawn_for_validation() -> None:
    begins = {tuple(Lanes(seed, [100], 4).batch(epoch * 25)) for seed in (1, 2) for epoch in range(3)}
    assert len(begins) == 6
    assert Lanes(None, [100], 4).batch(25).tolist() == [0, 25, 50, 75]
    assert Lanes(3, [50, 50], 4).batch(9).tolist() == Lanes(3, [100], 4).batch(9).tolist()


def test_the_rows_of_a_replica_are_the_lanes_that_its_state_is_kept_under() -> None:
    batch = Lanes(0, [23], 6).batch(1)
    for replica in range(4):
        numbers, real = share(batch, replica, 4, 2)
        lanes = replica + 4 * np.arange(2)
        assert (numbers[real > 0] == batch[lanes[real > 0]]).all()


def test_no_window_makes_no_step() -> None:
    assert Lanes(None, [], 4).steps == 0
