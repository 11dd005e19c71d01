"""``recommendations``: a ranked list a user; whether what he had next is near its top, beside what is popular."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from tasks.judging.base import JUDGES, Measure, described
from tasks.training.metrics import MAX_SLICES
from tasks.training.scoring import slice_of

if TYPE_CHECKING:
    from tasks.models.base import Scoring
    from tasks.models.recommender import Recommended
    from tasks.training.metrics import Pairs

FAR = (5, 10, 20)
"""How far down a list is looked."""
LEADING = 10
NEW_ITEMS = "(items that training never saw)"


@JUDGES.register("recommendations")
class Recommendations:
    """Recall and NDCG at 10, means over users, of the items that a user has in the split.

    recall@k is the share of a user's items among the first k of his list, of as many as k can hold; NDCG@k weighs a
    hit at rank r with 1 / log2(r + 1), over what the best order would have: Liang et al., Variational Autoencoders
    for Collaborative Filtering, 2018, section 4.2. What a user had in train is not in his list. A user whom training
    never saw gets what is popular, and an item that it never saw is a miss; both are counted.
    """

    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("ndcg_10", "NDCG@10"),
        Measure("recall_10", "recall@10"),
    )

    def __init__(self, recipe: Scoring | None, model: Any, slices: Iterable[str]) -> None:
        self.labels: tuple[str, ...] = ()
        self.pairs: Pairs = Counter()
        self.mistakes: list[Any] = []
        self._names = tuple(slices)
        self._known = frozenset(model.known.items) if recipe else frozenset()
        self._wanted: dict[str, set[str]] = defaultdict(set)
        self._sliced: dict[str, dict[str, dict[str, set[str]]]] = {name: {} for name in self._names}
        self._said: dict[str, tuple[list[str], list[str]]] = {}
        self._new_users: set[str] = set()
        self._first: set[str] = set()
        self._broken = False
        self._rows = self._new_items = 0

    def add(self, batch: pa.Table, said: Recommended) -> None:
        values = {name: [slice_of(name, value) for value in batch[name].to_pylist()] for name in self._names}
        self._rows += batch.num_rows
        for row, (user, item) in enumerate(zip(batch["user"].to_pylist(), batch["item"].to_pylist(), strict=True)):
            self._wanted[user].add(item)
            self._new_items += item not in self._known
            self._said[user] = said.items[row][: FAR[-1]], said.popular[row][: FAR[-1]]
            self._broken |= not all(map(math.isfinite, said.scores[row]))
            if said.known[row]:
                self._first.add(said.first[row])
            else:
                self._new_users.add(user)
            for name, column in values.items():
                of_value = self._sliced[name].setdefault(column[row], defaultdict(set))
                of_value[user].add(item)

    @property
    def unseen(self) -> Mapping[str, int]:
        return {NEW_ITEMS: self._new_items} if self._new_items else {}

    def metrics(self) -> dict[str, Any]:
        """Beside the measures the same at 5 and 20, and of what is popular; ``users`` and ``new_users``; ``coverage``,
        the share of all items that somebody's first 10 have; ``distinct`` (2 if not all are said the same first)."""
        rated = self._rated(self._wanted)
        told = {item for mine, _ in self._said.values() for item in mine[:LEADING]}
        return {
            "rows": self._rows,
            **{measure.name: rated[measure.name] for measure in self.measures},
            "measures": described(self.measures),
            **rated,
            "users": len(self._wanted),
            "new_users": len(self._new_users),
            "coverage": len(told & self._known) / len(self._known) if self._known else None,
            "distinct": min(len(self._first), 2),
            "per_class": {},
            "slices": {name: self._slice(values) for name, values in self._sliced.items()},
            "unseen": dict(self.unseen),
        }

    def _rated(self, wanted: Mapping[str, set[str]]) -> dict[str, float | None]:
        names = [f"{kind}_{k}" for k in FAR for kind in ("recall", "ndcg")]
        if not wanted:
            return dict.fromkeys([*names, *(f"popularity_{name}" for name in names)])
        sums: Counter[str] = Counter()
        for user, items in wanted.items():
            for prefix, ranked in zip(("", "popularity_"), self._said[user], strict=True):
                for k in FAR:
                    recall, ndcg = rate(ranked, items, k)
                    sums[f"{prefix}recall_{k}"] += recall  # type: ignore[assignment]
                    sums[f"{prefix}ndcg_{k}"] += ndcg  # type: ignore[assignment]
        means: dict[str, float | None] = {name: value / len(wanted) for name, value in sums.items()}
        return {name: math.nan if self._broken and name in names else value for name, value in means.items()}

    def _slice(self, values: Mapping[str, Mapping[str, set[str]]]) -> dict[str, dict[str, Any]]:
        rows = {value: sum(map(len, wanted.values())) for value, wanted in values.items()}
        ranked = sorted(values, key=lambda value: (-rows[value], value))[:MAX_SLICES]
        rated = {value: self._rated(values[value]) for value in ranked}
        return {
            value: {"rows": rows[value], **{measure.name: rated[value][measure.name] for measure in self.measures}}
            for value in ranked
        }

    @staticmethod
    def columns(recipe: Scoring, model: Any) -> pa.Schema:
        """``user``, ``known`` (whether training saw him), ``items`` (best first) and as many ``scores``: of a user
        whom it never saw the most popular items, and what share of the users has them."""
        return pa.schema(
            [
                ("user", pa.string()),
                ("known", pa.bool_()),
                ("items", pa.list_(pa.string())),
                ("scores", pa.list_(pa.float64())),
            ]
        )

    @staticmethod
    def write(recipe: Any, model: Any, rows: pa.RecordBatch, said: Recommended) -> Sequence[pa.Array]:
        top = recipe.params.top
        return [
            pa.array(rows["user"].to_pylist(), pa.string()),
            pa.array(said.known, pa.bool_()),
            pa.array([items[:top] for items in said.items], pa.list_(pa.string())),
            pa.array([scores[:top] for scores in said.scores], pa.list_(pa.float64())),
        ]

    @staticmethod
    def told(rows: pa.RecordBatch) -> Sequence[str]:
        """Whether the user was known: items are too many to be counted by name."""
        return ["known users" if known else "new users" for known in rows["known"].to_pylist()]

    def note(self) -> Mapping[str, str]:
        """Nothing to add to the report."""
        return {}


def rate(ranked: Sequence[str], wanted: set[str], k: int) -> tuple[float, float]:
    """recall@k and NDCG@k of one user's list."""
    gains = [1 / math.log2(rank + 2) if item in wanted else 0.0 for rank, item in enumerate(ranked[:k])]
    most = min(k, len(wanted))
    best = sum(1 / math.log2(rank + 2) for rank in range(most))
    return sum(gain > 0 for gain in gains) / most, sum(gains) / best
