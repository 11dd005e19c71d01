"""The recommender: what users of one taste had, it recommends to each other; what it does not know, it says so."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file

from tasks.errors import BadInput, Corrupt
from tasks.judging.base import JUDGES
from tasks.judging.recommendations import NEW_ITEMS, Recommendations, rate
from tasks.kinds.events import Events, EventsParams
from tasks.models._interactions import interactions
from tasks.models._tensors import TENSORS
from tasks.models.recommender import Recommended, Recommender, RecommenderParams
from tests.steps import after_steps

TASTES = 3
EACH = 8
"""Items of a taste; everybody has one item beside his own."""


def recipe(**params: Any) -> Recommender:
    small = {
        "architecture": "two_tower",
        "dimension": 8,
        "units": 8,
        "batch_size": 64,
        "max_history": 6,
        "dropout": 0.0,
        "l2": 0.03,
        "top": 3,
    }
    return Recommender(RecommenderParams.model_validate({**small, **params}), 0)


def events(users: int = 90, seed: int = 0) -> tuple[pa.Table, dict[str, set[str]]]:
    """What users had, and what each of them did not have yet of his own taste."""
    chance = random.Random(seed)
    pairs, left = [], {}
    for number in range(users):
        own = [f"item {number % TASTES} {i}" for i in range(EACH)]
        chance.shuffle(own)
        left[f"user {number}"] = set(own[5:])
        pairs += [(f"user {number}", item) for item in [*own[:5], "everybody's"]]
    chance.shuffle(pairs)
    return table(pairs), left


def table(pairs: list[tuple[str, str]], times: list[datetime | None] | None = None) -> pa.Table:
    users, items = [user for user, _ in pairs], [item for _, item in pairs]
    when = pa.array(times or [None] * len(pairs), pa.timestamp("us", tz="UTC"))
    return pa.table({"uid": [str(i) for i in range(len(pairs))], "user": users, "item": items, "timestamp": when})


def features_of(made: Recommender, rows: pa.Table) -> pa.Table:
    return made.combine([made.count(iter([rows]))], rows.num_rows)


def fitted(made: Recommender, rows: pa.Table, steps: int = 40) -> Any:
    """A model after a few steps on all rows; the training loop is not here."""
    features = features_of(made, rows)
    (columns,) = made.encode(iter([rows]), features)
    return after_steps(made, features, columns, steps=steps)


def said(made: Recommender, model: Any, users: list[str]) -> Recommended:
    return made.predict(model, [""] * len(users), {"user": users, "item": [""] * len(users)})


@pytest.mark.parametrize(
    "params",
    [{"architecture": "matrix_factorisation"}, {"architecture": "two_tower"}, {"negatives": 12}],
    ids=["factorisation", "towers", "drawn"],
)
def test_what_others_of_a_taste_had_is_recommended_saved_and_read_back(params: dict[str, Any], tmp_path: Path) -> None:
    made, (rows, left) = recipe(**params), events()
    model = fitted(made, rows)
    found = said(made, model, list(left))
    hits = [len(set(items[:3]) & left[user]) for user, items in zip(left, found.items, strict=True)]
    assert np.mean(hits) / 3 > 0.85
    assert all("everybody's" not in items for items in found.items), "what a user had is not recommended again"
    assert all("everybody's" not in items for items in found.popular)
    assert set(found.first) > {"everybody's"} or len(set(found.first)) > 1

    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        made.save(model, tmp_path / folder)
    assert (tmp_path / "one" / TENSORS).read_bytes() == (tmp_path / "two" / TENSORS).read_bytes()
    loaded = made.load(tmp_path / "one")
    assert said(made, loaded, list(left)) == found
    alone = said(made, loaded, ["user 7"])
    assert alone.items[0] == found.items[7]
    assert made.facts(model)["parameters"] == sum(array.size for array in model.weights)
    average = made.merge([model, model], [0.5, 0.5])
    assert said(made, average, ["user 7"]) == alone


def test_a_user_whom_training_never_saw_gets_what_is_popular_and_is_told_apart() -> None:
    made, (rows, _) = recipe(), events()
    model = fitted(made, rows, steps=5)
    found = said(made, model, ["nobody", "user 0"])
    assert found.known == [False, True]
    assert found.items[0][0] == "everybody's"
    assert found.scores[0][0] == 1.0, "what share of the users has it"
    assert found.items[0] == found.popular[0]
    again = recipe(repeat=True)
    assert said(again, model, ["user 0"]).popular[0][0] == "everybody's"


def test_the_features_are_the_same_whatever_the_sharding_and_rare_items_go() -> None:
    made, (rows, _) = recipe(), events(12)
    whole = features_of(made, pa.concat_tables([rows, rows.slice(0, 9)]))
    parts = [made.count(iter([rows.slice(at, 7)])) for at in range(0, rows.num_rows, 7)]
    assert made.combine(reversed(parts), 1).equals(whole)
    known = interactions(whole)
    assert known.popularity[known.items.index("everybody's")] == 12
    had = set(rows.filter(pa.compute.equal(rows["user"], "user 3"))["item"].to_pylist())
    assert {known.items[item] for item in known.of(known.users.index("user 3"))} == had
    rare = pa.concat_tables([rows, table([("user 0", "seldom"), ("hermit", "seldom")])])
    strict = interactions(features_of(recipe(min_users=3), rare))
    assert "seldom" not in strict.items
    assert "hermit" not in strict.users, "he has no item that is left"
    with pytest.raises(BadInput, match="1 items, and 1 that 1 users have"):
        features_of(made, table([("a", "x"), ("b", "x")]))


def test_examples_never_show_the_item_that_is_asked_for_and_leave_out_what_training_never_saw() -> None:
    made, (rows, _) = recipe(), events(12)
    features = features_of(made, rows)
    strange = pa.concat_tables([rows, table([("nobody", "everybody's"), ("user 0", "unheard")])])
    (encoded,) = made.encode(iter([strange]), features)
    assert len(encoded["user"]) == rows.num_rows
    for item, history in zip(encoded["item"], encoded["history"], strict=True):
        assert item + 1 not in history
        assert len(history) == 5
    arrays = made.inputs(encoded)
    assert {name: array.shape[1:] for name, array in arrays.items()} == {"history": (6,), "user": (), "item": ()}


def test_of_many_items_a_users_tower_reads_the_last_ones() -> None:
    made, start = recipe(max_history=4), datetime(2026, 11, 1, tzinfo=UTC)
    had = [("ann", f"item {number:02}") for number in (5, 9, 1, 7, 3, 8, 0, 2, 6, 4)]
    rows = table(had, [start + timedelta(days=day) for day in range(len(had))])
    parts = [made.count(iter([rows.slice(at, 3)])) for at in (6, 0, 9, 3)]
    features = made.combine(parts, rows.num_rows)
    assert features.equals(features_of(made, rows))
    (encoded,) = made.encode(iter([rows.slice(9)]), features)
    names = interactions(features).items
    assert [names[place - 1] for place in encoded["history"][0]] == [item for _, item in had[5:9]]


def test_without_times_no_item_is_passed_over_for_its_name() -> None:
    made = recipe(max_history=5)
    rows = table([(f"user {user}", f"item {item:02}") for user in range(40) for item in range(20)])
    (encoded,) = made.encode(iter([rows]), features_of(made, rows))
    read = Counter(place for history in encoded["history"] for place in history)
    assert len(read) == 20
    assert max(read.values()) < 4 * min(read.values())


def test_a_champion_lends_the_vectors_of_users_and_items_that_both_have() -> None:
    made, (rows, _) = recipe(), events()
    champion = fitted(made, rows, steps=5)
    grown = pa.concat_tables([rows, table([("user 999", "new one"), ("user 999", "item 0 0")])])
    features = features_of(made, grown)
    start = made.network(features).get_weights()
    warm = made.model(made.warm(start, features, champion), features)
    for name in ("user 5", "user 41"):
        mine = warm.weights[0][warm.known.users.index(name)]
        np.testing.assert_array_equal(mine, champion.weights[0][champion.known.users.index(name)])
    with pytest.raises(BadInput, match="architecture"):
        recipe(architecture="matrix_factorisation").warm(start[:3], features, champion)
    with pytest.raises(BadInput, match="sizes"):
        other = recipe(units=9)
        other.warm(other.network(features).get_weights(), features, champion)


def test_files_that_hold_anything_else_are_corrupt(tmp_path: Path) -> None:
    made, (rows, _) = recipe(), events(9)
    made.save(fitted(made, rows, steps=3), tmp_path)
    tensors = load_file(tmp_path / TENSORS)
    for name, broken in (
        ("seen", tensors["seen"] + 1000),
        ("starts", tensors["starts"][::-1].copy()),
        ("users", np.full_like(tensors["users"], np.nan)),
    ):
        save_file({**tensors, name: broken}, tmp_path / TENSORS)
        with pytest.raises(Corrupt):
            made.load(tmp_path)


def judged(known: list[str]) -> Recommendations:
    """A judge of a model that knows these items."""

    return Recommendations(recipe(), SimpleNamespace(known=SimpleNamespace(items=known)), ["group"])


def test_recall_and_ndcg_are_those_of_the_paper_and_the_popular_stands_beside() -> None:
    assert rate(["a", "x", "b"], {"a", "b"}, 5) == pytest.approx((1, (1 + 1 / 2) / (1 + 1 / math.log2(3))))
    assert rate(["x", "a"], {"a", "b", "c"}, 2) == pytest.approx((0.5, (1 / math.log2(3)) / (1 + 1 / math.log2(3))))
    judge = judged(["a", "b", "x"])
    batch = table([("u", "a"), ("u", "b"), ("v", "unheard"), ("new", "a")]).append_column(
        "group", pa.array(["g", "g", "h", None])
    )
    told = Recommended(
        [["a", "b"], ["a", "b"], ["x"], ["x"]],
        [[2.0, 1.0], [2.0, 1.0], [1.0], [1.0]],
        [True, True, True, False],
        [["x"], ["x"], ["a"], ["a"]],
        ["a", "a", "x", "x"],
    )
    judge.add(batch, told)
    metrics = judge.metrics()
    assert metrics["recall_10"] == pytest.approx(1 / 3)
    assert metrics["popularity_recall_10"] == pytest.approx(1 / 3)
    assert (metrics["users"], metrics["new_users"], metrics["rows"]) == (3, 1, 4)
    assert metrics["unseen"] == {NEW_ITEMS: 1}
    assert metrics["slices"]["group"]["g"] == {"rows": 2, "ndcg_10": 1.0, "recall_10": 1.0}
    assert metrics["coverage"] == 1.0
    assert metrics["distinct"] == 2


def test_a_model_that_says_the_same_to_all_or_no_number_is_seen() -> None:
    judge = judged(["a", "b"])
    same = Recommended([["a"], ["b"]], [[1.0], [math.nan]], [True, True], [["a"], ["b"]], ["a", "a"])
    judge.add(table([("u", "a"), ("v", "b")]).append_column("group", pa.array(["g", "g"])), same)
    metrics = judge.metrics()
    assert metrics["distinct"] == 1, "though the lists differ by what each user had"
    assert math.isnan(metrics["ndcg_10"])
    assert metrics["popularity_ndcg_10"] == 1.0


def test_an_event_has_a_user_and_an_item_and_the_same_pair_again_is_no_news() -> None:
    kind = Events(EventsParams(user="who", item="what"))

    def row(**cells: Any) -> Any:
        return kind.row({"content_type": "application/json", "body": json.dumps(cells).encode()})

    good = row(who=7, what=" tea ")
    assert good.columns == {"user": "7", "item": "tea"}
    assert good.digest == row(who="7", what="tea").digest != row(who="7", what="milk").digest
    assert [row(who=None, what="x").reason, row(who="a", what=" ").reason] == ["missing", "missing"]
    assert row(who="a", what="x" * 2000).reason == "too_large"
    assert row(who="a b", what="c").text != row(who="a", what="b c").text, "as near-duplicates are told by it"
    assert row(who="a").columns == {"user": "a", "item": ""}, "to be predicted: what he will have, nobody knows"
    assert kind.row({"content_type": "text/html", "body": b""}).reason == "content_type"
    with pytest.raises(ValueError, match="the same column"):
        EventsParams(user="x", item="x")


def test_a_part_without_rows_has_no_numbers() -> None:
    metrics = JUDGES.get("recommendations")(None, None, ()).metrics()
    assert (metrics["rows"], metrics["ndcg_10"]) == (0, None)
