"""The last verdict of near-duplicates is a cache: whatever becomes of it, the rows are the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import numpy as np
import pytest

from tests.shelf import Shelf, cluster, little_at_a_time


@pytest.fixture(autouse=True)
def _little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    little_at_a_time(monkeypatch)


def test_a_verdict_outlives_the_index_that_it_was_made_with(make_shelf: Callable[[], Shelf]) -> None:
    shelf = make_shelf()
    days = [(shelf.store(day, signed), signed) for day, signed in enumerate((cluster(1, 5), cluster(2, 3)))]
    found = shelf.settle(days, np.arange(8))
    shutil.rmtree(next(shelf.folder.glob("store/near/*/*/index")))
    shelf.settle(days[1:], np.arange(3))
    # The positions are others now; what it says of the second day is known.
    assert shelf.decided == 0
    shelf.settle(days, np.arange(8))
    assert shelf.decided == 5
    assert shelf.settle(days, np.arange(8)) == found
    assert shelf.decided == 0


def test_a_verdict_that_says_the_same_is_not_written_again(make_shelf: Callable[[], Shelf]) -> None:
    shelf = make_shelf()
    days = [(shelf.store(0, cluster(1, 5)), cluster(1, 5))]
    shelf.settle(days, np.arange(5))
    written = shelf.verdict().stat().st_ino
    shelf.settle(days, np.arange(5))
    assert shelf.verdict().stat().st_ino == written
    shelf.settle(days, np.arange(4))
    assert shelf.verdict().stat().st_ino != written


@pytest.mark.parametrize("fault", ["altered", "cut", "empty", "lost", "of another rule"])
def test_without_a_verdict_to_be_trusted_everything_is_decided_anew(
    make_shelf: Callable[[], Shelf], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    shelf = make_shelf()
    days = [(shelf.store(0, cluster(1, 5)), cluster(1, 5))]
    found = shelf.settle(days, np.arange(5))
    path = shelf.verdict()
    stored = path.read_bytes()
    match fault:
        case "altered":
            path.write_bytes(stored[:-1] + b"x")
        case "cut":
            path.write_bytes(stored[:-4])
        case "empty":
            path.write_bytes(b"")
        case "lost":
            path.unlink()
        case _:
            monkeypatch.setattr("tasks.near.verdict.RULE", 2)
    assert shelf.settle(days, np.arange(5)) == found
    assert shelf.decided == 5
    if fault != "of another rule":
        assert path.read_bytes() == stored
