"""Near-duplicates in bounded memory are those of the plain rules, however they are found."""

from __future__ import annotations

import hashlib
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
from tasks.config.corpus import Near
from tasks.near import candidates, index, runs
from tasks.near.index import Index
from tasks.near.precedence import Precedence
from tasks.near.signed import Signed as Partition
from tasks.near.signed import StoredSignatures, near_folder
from tasks.step import Context
from tasks.store import open_store
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
    monkeypatch.setattr("tasks.near.precedence._BLOCK", 2)
    monkeypatch.setattr("tasks.near.precedence._PORTION", 2)
    monkeypatch.setattr("tasks.near.precedence._CACHED", 2)
    monkeypatch.setattr(runs, "SLICE_ENTRIES", 7)
    monkeypatch.setattr(index, "FAN", 2)
    monkeypatch.setattr(index, "_ROWS", 3)


Signed = NDArray[np.uint32]


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

    def settle(self, days: Sequence[tuple[FileEntry, Signed]], order: NDArray[np.int64]) -> list[tuple[int, int]]:
        """What goes of ``days``, whose rows have the given order of precedence (-1: no part in it)."""
        scratch = self.scratch()
        files = [entry for entry, _ in days]
        near_index = Index.open(self.context, files, scratch)
        near_index.grow(files)
        place = np.full(sum(len(signed) for _, signed in days), -1, np.int64)
        place[order] = np.arange(len(order))
        rank = np.full(near_index.rows, -1, np.int64)
        row = 0
        for entry, signed in days:
            first = near_index.first(entry)
            rank[first : first + len(signed)] = place[row : row + len(signed)]
            row += len(signed)
        precedence = Precedence(rank, NEAR, scratch)
        return list(precedence.settle(near_index.pairs(), near_index.members(), near_index.signatures))


@pytest.fixture
def make_shelf(
    tmp_path_factory: pytest.TempPathFactory, make_corpus: Callable[..., Corpus], make_context: Callable[..., Context]
) -> Callable[[], Shelf]:
    def build() -> Shelf:
        folder = tmp_path_factory.mktemp("near")
        corpus = make_corpus(train={"recipe": "tfidf_forest", "near": NEAR.model_dump()})
        store = open_store(f"file://{folder}/store", {})
        context = make_context(corpus=corpus, store=store)
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
