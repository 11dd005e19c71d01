"""Who did what: users and items of a train split, counted shard by shard, and what each user already had."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_ITEM, _USER, _TIME, _CHANCE = "item", "user", "time", "chance"
_NEVER = -(2**63)


@dataclass(frozen=True, slots=True)
class Interactions:
    """Names in the order of their ids; ``items`` of user ``u`` are ``seen[starts[u] : starts[u + 1]]``, the last
    one last."""

    users: list[str]
    items: list[str]
    popularity: np.ndarray
    """Users of each item, int64 ``(items,)``."""
    starts: np.ndarray
    """int64 ``(users + 1,)``."""
    seen: np.ndarray
    """int32 ``(pairs,)``."""

    def of(self, user: int) -> np.ndarray:
        """Ids of the items that a user had, the last one last."""
        return self.seen[self.starts[user] : self.starts[user + 1]]


def count(batches: Iterable[pa.Table]) -> pa.Table:
    """Map: the distinct pairs of ``user`` and ``item``, in order, each with its latest ``timestamp`` in microseconds
    (of one without any, before all others), and a number by which equal ones are ordered. Memory grows with them."""
    import pyarrow as pa

    pairs: dict[tuple[str, str], int] = {}
    for batch in batches:
        times = batch["timestamp"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).fill_null(_NEVER).to_pylist()
        for user, item, time in zip(batch["user"].to_pylist(), batch["item"].to_pylist(), times, strict=True):
            pairs[user, item] = max(time, pairs.get((user, item), _NEVER))
    ordered = sorted(pairs)
    names = {
        name: pa.array([pair[place] for pair in ordered], pa.large_string())
        for place, name in enumerate((_USER, _ITEM))
    }
    # By chance, so that no item is passed over for its name alone; the same chance whatever the sharding.
    chance = [zlib.crc32("\0".join(pair).encode(errors="surrogatepass")) for pair in ordered]
    return pa.table(
        {**names, _TIME: pa.array(map(pairs.get, ordered), pa.int64()), _CHANCE: pa.array(chance, pa.int64())}
    )


def combine(counts: Iterable[pa.Table], *, least: int) -> pa.Table:
    """Reduce: a row an item that ``least`` users have, then a row a user of any of these; each by name.

    ``term`` its name, ``side``, ``documents`` how many users an item has, or items a user; ``seen`` the places of a
    user's items among the items, in the order in which he had them, null for an item.

    Raises:
        BadInput: fewer than two items are left.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    pairs = pa.concat_tables(list(counts)).group_by([_USER, _ITEM]).aggregate([(_TIME, "max"), (_CHANCE, "max")])
    popular = pairs.group_by(_ITEM).aggregate([([], "count_all")]).sort_by(_ITEM)
    kept = popular.filter(pc.greater_equal(popular["count_all"], least))
    if kept.num_rows < 2:
        raise BadInput(
            f"the train split has {popular.num_rows} items, and {kept.num_rows} that {least} users have: there is "
            "nothing to choose from; bring more events, or lower min_users"
        )
    items = kept[_ITEM].combine_chunks()
    places = pc.index_in(pairs[_ITEM], items)
    pairs = (
        pairs.append_column("place", places)
        .filter(pc.is_valid(places))
        .sort_by([(name, "ascending") for name in (_USER, f"{_TIME}_max", f"{_CHANCE}_max", "place")])
    )
    runs = pc.run_end_encode(pairs[_USER].combine_chunks(), pa.int64())
    users, bounds = runs.values, np.append(0, runs.run_ends.to_numpy()).astype(np.int32)
    seen = pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), pairs["place"].combine_chunks().cast(pa.int32()))
    none = pa.nulls(len(items), seen.type)
    return pa.table(
        {
            "term": pa.chunked_array([items, users.cast(pa.large_string())]),
            "side": pa.array([_ITEM] * len(items) + [_USER] * len(users), pa.string()),
            "documents": pa.array([*kept["count_all"].to_pylist(), *np.diff(bounds).tolist()], pa.int64()),
            "seen": pa.chunked_array([none, seen]),
        }
    ).combine_chunks()


def interactions(features: pa.Table) -> Interactions:
    """What ``combine`` made, as arrays."""
    import numpy as np
    import pyarrow.compute as pc

    is_item = pc.equal(features["side"], _ITEM)
    items, users = features.filter(is_item), features.filter(pc.invert(is_item))
    sizes = users["documents"].to_numpy()
    return Interactions(
        users["term"].to_pylist(),
        items["term"].to_pylist(),
        items["documents"].to_numpy().astype(np.int64),
        np.append(0, np.cumsum(sizes)).astype(np.int64),
        pc.list_flatten(users["seen"]).to_numpy().astype(np.int32),
    )


def by_popularity(popularity: np.ndarray) -> np.ndarray:
    """Places of all items, the most popular first."""
    import numpy as np

    return np.argsort(-popularity, kind="stable")


def next_popular(order: np.ndarray, without: Sequence[int] | np.ndarray, most: int) -> list[int]:
    """The first ``most`` of ``order`` that are not in ``without``."""
    gone = set(map(int, without))
    found: list[int] = []
    for place in order:
        if len(found) == most:
            break
        if int(place) not in gone:
            found.append(int(place))
    return found
