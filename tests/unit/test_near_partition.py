"""Near-duplicates within a day, on local disk; and signatures of a day on a far store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from tasks.catalog import FileEntry
from tasks.cleaning import near
from tasks.near.signed import Signed as Partition
from tasks.near.signed import StoredSignatures
from tests import simple_near
from tests.shelf import NEAR, Remote, Signed, little_at_a_time, partitions


@pytest.fixture(autouse=True)
def _little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    little_at_a_time(monkeypatch)


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
