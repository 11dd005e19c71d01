"""Near-duplicates in bounded memory are those of the plain rules, however they are found."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.errors import BadInput
from tasks.near import index
from tasks.near.deciding import Deciding
from tasks.near.signed import near_folder
from tasks.text.minhash import bands
from tests import simple_near
from tests.shelf import NEAR, Day, Remote, Shelf, Signed, Snapshot, cluster, little_at_a_time, partitions


@pytest.fixture(autouse=True)
def _little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    little_at_a_time(monkeypatch)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(partitions(), st.randoms(use_true_random=False))
def test_whatever_the_index_has_seen_before_the_rows_are_those_of_the_plain_rule(
    make_shelf: Callable[[], Shelf], made: list[Signed], random: object
) -> None:
    shelf = make_shelf()
    rng = np.random.default_rng(random.randrange(1 << 32))  # type: ignore[attr-defined]
    days = [(shelf.store(day, signed), signed) for day, signed in enumerate(made)]
    # Some partitions, in some order, some of them superseded: each snapshot finds what others left behind.
    for _ in range(4):
        chosen = [days[day] for day in rng.permutation(len(days))[: rng.integers(1, len(days) + 1)]]
        whole = np.concatenate([signed for _, signed in chosen])
        order = rng.permutation(len(whole))[: rng.integers(1, len(whole) + 1)]
        assert shelf.settle(chosen, order) == list(simple_near.across(whole[order], NEAR))


class History:
    """Published days, and what happens to them from one snapshot to the next."""

    def __init__(self, shelf: Shelf, made: list[Signed], rng: np.random.Generator) -> None:
        self.shelf = shelf
        self._made = made
        self._rng = rng
        self._count = 0
        self.days: list[Day] = []
        self._split: dict[tuple[str, int], int] = {}
        self._deleted: set[tuple[str, int]] = set()

    def happen(self, event: str) -> None:
        """Change the days, or what is kept about them."""
        at = int(self._rng.integers(0, len(self.days) + 1))
        if event == "a new day":
            self.days.append(self.day())
        elif event == "a day backfilled":
            self.days.insert(at, self.day())
        elif event == "a day published again":
            self.days[at : at + 1] = [self.day()]
        elif event == "deletions":
            self._deleted.update(key for key in self._keys() if self._rng.random() < 0.2)
        elif event == "other splits":
            self._split.update({key: int(self._rng.integers(0, 3)) for key in self._keys() if self._rng.random() < 0.3})
        elif event == "the index lost":
            shutil.rmtree(next(self.shelf.folder.glob("store/near/*/*/index")), ignore_errors=True)
        elif event == "the verdict lost":
            self.shelf.verdict().unlink()
        elif event == "the verdict damaged":
            stored = bytearray(self.shelf.verdict().read_bytes())
            stored[self._rng.integers(0, len(stored))] ^= 1
            self.shelf.verdict().write_bytes(stored)

    def day(self) -> Day:
        """One more day, on the store."""
        self._count += 1
        signed = self._made[self._count % len(self._made)]
        signed = signed[self._rng.integers(0, len(signed), self._rng.integers(1, len(signed) + 1))]
        entry = self.shelf.store(self._count, signed)
        self._split.update({(entry.key, row): int(self._rng.integers(0, 3)) for row in range(len(signed))})
        return entry, signed

    def order(self, days: Sequence[Day]) -> NDArray[np.int64]:
        """Rows of ``days`` that are not deleted: by split, the earliest first."""
        keys = [(entry.key, row) for entry, signed in days for row in range(len(signed))]
        rows = np.array([row for row, key in enumerate(keys) if key not in self._deleted], np.int64)
        return rows[np.argsort([self._split[keys[row]] for row in rows], kind="stable")]

    def check(self, snapshot: Snapshot) -> None:
        """Its rows are those of the plain rule."""
        order = self.order(snapshot.days)
        whole = np.concatenate([signed for _, signed in snapshot.days])
        assert snapshot.settle(order) == list(simple_near.across(whole[order], NEAR))

    def _keys(self) -> list[tuple[str, int]]:
        return [(entry.key, row) for entry, signed in self.days for row in range(len(signed))]


EVENTS = (
    "a new day",
    "a day backfilled",
    "a day published again",
    "deletions",
    "other splits",
    "the latest days alone",
    "two at once",
    "nothing",
    "the index lost",
    "the verdict lost",
    "the verdict damaged",
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(partitions(), st.lists(st.sampled_from(EVENTS), min_size=1, max_size=8), st.integers(0, 1 << 32))
def test_whatever_happened_since_the_last_snapshot_the_rows_are_those_of_the_plain_rule(
    make_shelf: Callable[[], Shelf], made: list[Signed], events: list[str], seed: int
) -> None:
    shelf = make_shelf()
    history = History(shelf, made, np.random.default_rng(seed))
    for event in ("a new day", "a new day", *events):
        history.happen(event)
        if event == "two at once":
            # Each grows the index by a day that the other does not know.
            both = [shelf.open([*history.days, history.day()]) for _ in range(2)]
            for snapshot in both:
                history.check(snapshot)
        days = history.days[-2:] if event == "the latest days alone" else history.days
        history.check(shelf.open(days))


def test_only_what_a_new_document_may_change_is_decided_about(
    make_shelf: Callable[..., Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = make_shelf(store=Remote)
    store = shelf.context.store
    assert isinstance(store, Remote)
    given: list[int] = []
    plain = Deciding.__init__

    def counted(self: Deciding, stays: NDArray[np.int64], pairs: NDArray[np.void]) -> None:
        given.append(len(stays))
        plain(self, stays, pairs)

    monkeypatch.setattr(Deciding, "__init__", counted)
    signed = np.concatenate([cluster(1, 9), cluster(2, 9), cluster(3, 2), cluster(4, 2)])
    days = [(shelf.store(0, signed), signed)]
    shelf.settle(days, np.arange(22))
    assert (sum(given), shelf.decided) == (22, 22)

    def night(number: int, row: int, place: int) -> tuple[int, int, int]:
        """Places that were given, documents decided about and bytes read for one document more at ``place``."""
        given.clear()
        days.append((shelf.store(len(days), cluster(number, 1)), cluster(number, 1)))
        snapshot = shelf.open(days)
        store.sent = 0
        assert snapshot.settle(np.insert(np.arange(row), place, row))
        return sum(given), shelf.decided, store.sent

    size = NEAR.permutations * 4
    # The last of ten: compared with the one that stays. Its own signature is here still.
    assert night(1, 22, 22) == (10, 1, size)
    # Of a small group: nothing is compared that was not when the index grew.
    assert night(3, 23, 23) == (3, 1, 0)
    # Of a group of its own.
    assert night(5, 24, 24) == (0, 0, 0)
    # One that comes first is decided about, and then all that repeat it now.
    assert night(2, 25, 0) == (10, 10, 9 * size)
    # One that went does so without a trace; what repeated one that stayed is decided about.
    given.clear()
    shelf.settle(days, np.append(25, np.delete(np.arange(25), 5)))
    assert (sum(given), shelf.decided) == (0, 0)
    shelf.settle(days, np.append(25, np.delete(np.arange(25), [0, 5])))
    assert (sum(given), shelf.decided) == (8, 8)


def test_a_corpus_of_many_nights_has_few_files_of_its_index(make_shelf: Callable[[], Shelf]) -> None:
    shelf = make_shelf()
    days = []
    for day in range(33):
        signed = np.concatenate([cluster(day, 2), cluster(1000 + day, 5)])
        days.append((shelf.store(day, signed), signed))
        snapshot = shelf.open(days)
    assert len(snapshot.settle(np.arange(33 * 7))) == 33 * 5
    found = shelf.context.catalog.current(near_folder(shelf.context.corpus, "index"))
    assert found is not None
    rows = {role: [entry.rows for entry in found.of_role(role)] for role in ("run", "pairs", "members")}
    assert {role: sum(each) for role, each in rows.items()} == {
        "run": 33 * 7,
        "pairs": 33,
        "members": 33 * 5 * bands(NEAR)[0],
    }
    assert max(map(len, rows.values())) <= 4, "one of a size, where two become one"


def test_more_documents_than_an_index_tells_apart_are_refused(
    make_shelf: Callable[[], Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = make_shelf()
    days = [(shelf.store(0, cluster(1, 5)), cluster(1, 5))]
    monkeypatch.setattr(index, "_MOST", 5)
    with pytest.raises(BadInput, match=r"5 documents are more than .*train\.history"):
        shelf.settle(days, np.arange(5))
