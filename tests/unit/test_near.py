"""Near-duplicates in bounded memory are those of the plain rules, however they are found."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.catalog import Catalog, FileEntry
from tasks.cleaning import near
from tasks.config import Corpus
from tasks.config.clean import Near
from tasks.errors import BadInput
from tasks.near import candidates, index, runs
from tasks.near.deciding import Deciding
from tasks.near.index import Index
from tasks.near.precedence import nearly_repeated
from tasks.near.signed import Signed as Partition
from tasks.near.signed import StoredSignatures, near_folder
from tasks.step import Context
from tasks.store.local import LocalStore
from tests import simple_near

NEAR = Near(threshold=0.5, permutations=16)


@pytest.fixture(autouse=True)
def _little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit so low that a few documents meet it."""
    monkeypatch.setattr(candidates, "WIDE", 3)
    monkeypatch.setattr(candidates, "_BUFFERED", 5)
    monkeypatch.setattr(candidates, "_CHUNK", 3)
    monkeypatch.setattr(candidates, "_BLOCK", np.uint64(2))
    monkeypatch.setattr(candidates, "_PORTION", 2)
    monkeypatch.setattr("tasks.near.precedence._BATCH", 2)
    monkeypatch.setattr("tasks.near.held._CACHED", 2 * NEAR.permutations)
    monkeypatch.setattr("tasks.near.held._READ", 3)
    monkeypatch.setattr("tasks.near.wide._COMPARED", 2)
    monkeypatch.setattr(runs, "SLICE_ENTRIES", 7)
    monkeypatch.setattr(index, "FAN", 2)
    monkeypatch.setattr(index, "_ROWS", 3)


Signed = NDArray[np.uint32]
Day = tuple[FileEntry, Signed]


@st.composite
def partitions(draw: st.DrawFn) -> list[Signed]:
    """Signatures of a few partitions: copies of a few bases with places changed, so that many share a band."""
    bases = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    base = rng.integers(0, 1 << 32, (bases, NEAR.permutations), dtype=np.uint32)
    made = []
    for rows in draw(st.lists(st.integers(1, 6), min_size=3, max_size=6)):
        signed = base[rng.integers(0, bases, rows)].copy()
        changed = rng.random(signed.shape) < rng.random((rows, 1)) * draw(st.sampled_from([0.0, 0.2, 0.6]))
        signed[changed] = rng.integers(0, 3, int(changed.sum()), dtype=np.uint32)
        made.append(signed)
    return made


@dataclass
class Shelf:
    """An index on a store of its own, and signature files beside it."""

    context: Context
    folder: Path
    turn: int = 0
    decided: int = 0

    def store(self, day: int, signed: Signed) -> FileEntry:
        path = self.folder / "signatures.u32"
        signed.astype("<u4").tofile(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        folder = near_folder(self.context.corpus, f"{day}")
        return self.context.catalog.add_file(folder, "signatures", path, digest, rows=len(signed))

    def scratch(self) -> Path:
        self.turn += 1
        (scratch := self.folder / f"{self.turn}").mkdir()
        return scratch

    def open(self, days: Sequence[Day]) -> Snapshot:
        """A snapshot of ``days`` in the making: the index is there and grown."""
        scratch, files = self.scratch(), [entry for entry, _ in days]
        near_index = Index.open(self.context, files, scratch)
        near_index.grow(files)
        return Snapshot(self, days, near_index, scratch)

    def settle(self, days: Sequence[Day], order: NDArray[np.int64]) -> list[tuple[int, int]]:
        """What goes of ``days``, whose rows have the given order of precedence (those left out take no part)."""
        return self.open(days).settle(order)

    def verdict(self) -> Path:
        """The last verdict's file."""
        (path,) = self.folder.glob("store/near/*/*/verdict*")
        return path


@dataclass
class Snapshot:
    shelf: Shelf
    days: Sequence[Day]
    index: Index
    scratch: Path

    def settle(self, order: NDArray[np.int64]) -> list[tuple[int, int]]:
        place = np.full(sum(len(signed) for _, signed in self.days), -1, np.int64)
        place[order] = np.arange(len(order))
        files = [entry for entry, _ in self.days]
        mine, stays, decided = nearly_repeated(self.shelf.context, self.index, files, place, self.scratch)
        self.shelf.decided = decided
        return sorted(zip(mine.tolist(), stays.tolist(), strict=True))


@pytest.fixture
def make_shelf(
    tmp_path_factory: pytest.TempPathFactory, make_corpus: Callable[..., Corpus], make_context: Callable[..., Context]
) -> Callable[..., Shelf]:
    def build(store: type[LocalStore] = LocalStore) -> Shelf:
        folder = tmp_path_factory.mktemp("near")
        corpus = make_corpus(train={"recipe": "tfidf_forest", "near": NEAR.model_dump()})
        context = make_context(corpus=corpus, store=store(f"file://{folder}/store"))
        assert isinstance(context.catalog, Catalog)
        return Shelf(context, folder)

    return build


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


def cluster(number: int, rows: int) -> Signed:
    """Equal signatures."""
    return np.full((rows, NEAR.permutations), number, np.uint32)


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


def test_more_documents_than_an_index_tells_apart_are_refused(
    make_shelf: Callable[[], Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = make_shelf()
    days = [(shelf.store(0, cluster(1, 5)), cluster(1, 5))]
    monkeypatch.setattr(index, "_MOST", 5)
    with pytest.raises(BadInput, match=r"5 documents are more than .*train\.history"):
        shelf.settle(days, np.arange(5))


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


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(partitions())
def test_within_a_partition_the_sets_are_those_of_the_plain_rule(
    tmp_path_factory: pytest.TempPathFactory, made: list[Signed]
) -> None:
    whole = np.concatenate(made)
    folder = tmp_path_factory.mktemp("within")
    path = folder / "documents.parquet"
    # A text is the number of its signature; every second row takes no part; the later rows are the earlier captures.
    count = 2 * len(whole)
    times = np.arange(count, 0, -1) // 3
    urls = [f"http://{'é' if row % 4 else 'z'}/{row}" for row in range(count)]
    pq.write_table(pa.table({"text": [str(row // 2) for row in range(count)], "url": urls}), path, row_group_size=5)
    rows = np.arange(0, count, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "signatures", lambda texts, _: whole[[int(text) for text in texts]])
        patch.setattr(near, "_ROWS", 3)
        found = {(pair.row, pair.stays, pair.similarity) for pair in near.near_pairs([path], rows, times, NEAR, folder)}
    order = sorted(range(len(whole)), key=lambda i: (times[2 * i], urls[2 * i], 2 * i))
    expected = simple_near.within(whole[order], NEAR)
    assert found == {(2 * order[i], 2 * order[stays], similarity) for i, stays, similarity in expected}


class Remote(LocalStore):
    """A store that has no file of this machine, as S3 has none; counts the bytes that it sends."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sent = 0

    def local(self, key: str) -> Path | None:
        return None

    def read_at(self, key: str, offset: int, size: int) -> bytes:
        self.sent += size
        return super().read_at(key, offset, size)


def test_of_a_far_partition_no_more_is_read_than_is_needed(tmp_path: Path) -> None:
    store = Remote(f"file://{tmp_path}/store")
    signed = np.arange(5000 * NEAR.permutations, dtype="<u4").reshape(5000, -1)
    store.write("one", signed[:2000].tobytes())
    store.write("two", signed[2000:].tobytes())
    sizes = {"one": (0, 2000), "two": (2000, 3000)}
    files = [
        Partition(first, FileEntry(key=key, role="signatures", size=0, sha256="", rows=rows))
        for key, (first, rows) in sizes.items()
    ]
    wanted = np.array([3, 5, 1999, 2000, 4999])
    assert (StoredSignatures(store, files, NEAR).rows(wanted) == signed[wanted]).all()
    assert store.sent == (3 + 1 + 1 + 1) * NEAR.permutations * 4
