"""Boosted trees over a table: missing cells and categories are what they are, in shards and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import Corrupt
from tasks.models.gradient_boosting import GradientBoosting, GradientBoostingParams
from tasks.step import Shard

TOWNS = [f"town {number}" for number in range(12)]


def recipe(**params: Any) -> GradientBoosting:
    small = {"iterations": 60, "learning_rate": 0.3, "min_samples_leaf": 5, **params}
    return GradientBoosting(GradientBoostingParams.model_validate(small), 0)


def rows(count: int = 600) -> tuple[list[dict[str, Any]], list[float]]:
    """A number of which half is missing, which tells something, and a category of which every other value is high."""
    chance = np.random.default_rng(0)
    made, targets = [], []
    for _ in range(count):
        town, size = int(chance.integers(len(TOWNS))), float(chance.normal())
        gone = bool(chance.integers(2))
        made.append({"size": None if gone else size, "town": TOWNS[town]})
        targets.append(10.0 * gone + 4.0 * (town % 2) + (0.0 if gone else size))
    return made, targets


def table(made: list[dict[str, Any]], targets: list[float]) -> pa.Table:
    return pa.table({"uid": [str(n) for n in range(len(made))], "row": made, "label": [str(t) for t in targets]})


def fitted(made: GradientBoosting, whole: pa.Table, shards: int = 1) -> Any:
    features = made.combine([made.count(iter([whole]))], whole.num_rows)
    share = -(-whole.num_rows // shards)
    parts = [made.fit(iter([whole.slice(at * share, share)]), features, Shard(at, shards)) for at in range(shards)]
    return made.merge(parts, [1 / shards] * shards)


@pytest.mark.parametrize("shards", [1, 3])
def test_a_missing_cell_tells_something_and_a_category_is_one_column(shards: int, tmp_path: Path) -> None:
    made, (given, targets) = recipe(), rows()
    model = fitted(made, table(given, targets), shards)
    assert [member.n_features_in_ for member in model.members] == [2] * shards
    said = made.predict(model, [""] * len(given), {"row": given})
    assert np.abs(said - np.array(targets)).mean() < 0.6
    strange = [{"size": None, "town": "nowhere"}, {"size": None, "town": None}, {"town": "town 1"}, {}]
    unknown = made.predict(model, [""] * 4, {"row": strange})
    assert unknown[0] == unknown[1] == unknown[3]
    assert (unknown > 8).all(), "what is missing is no mean"
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        made.save(model, tmp_path / folder)
    loaded = made.load(tmp_path / "one")
    assert (made.predict(loaded, [""] * len(given), {"row": given}) == said).all()


def test_a_shard_without_some_values_takes_them_for_missing() -> None:
    made, (given, targets) = recipe(rare=1), rows()
    given = [{**row, "town": "elsewhere" if place >= 300 else row["town"]} for place, row in enumerate(given)]
    model = fitted(made, table(given, targets), 2)
    assert [len(codes[0]) for codes in model.codes] == [12, 1]
    said = made.predict(model, [""], {"row": [{"size": 0.0, "town": "town 3"}]})
    assert np.isfinite(said).all()
    nothing = [{"size": row["size"], "town": None if place < 300 else row["town"]} for place, row in enumerate(given)]
    assert [len(codes[0]) for codes in fitted(made, table(nothing, targets), 2).codes] == [0, 1]


def test_a_category_of_more_values_than_a_histogram_holds_keeps_the_most_frequent() -> None:
    names = [f"shop {number}" for number in range(300) for _ in range(2)] + ["large"] * 50
    given = [{"shop": name, "n": float(place)} for place, name in enumerate(names)]
    made = recipe(iterations=2)
    model = fitted(made, table(given, [float(place % 7) for place in range(len(given))]))
    assert len(model.codes[0][0]) == 255
    assert np.isfinite(made.predict(model, [""] * 9, {"row": given[-9:]})).all()


@pytest.mark.parametrize("broken", ["bitset", "codes", "column", "categories"])
def test_a_model_that_points_outside_its_arrays_is_refused(broken: str, tmp_path: Path) -> None:
    made, (given, targets) = recipe(iterations=2), rows(200)
    model = fitted(made, table(given, targets))
    (member,) = model.members
    (tree,) = member._predictors[0]
    by_set = tree.nodes["is_categorical"] != 0
    assert by_set.any()
    if broken == "bitset":
        tree.nodes["bitset_idx"][by_set] = 99
    elif broken == "codes":
        model.codes[0][0][-1] = 300
    elif broken == "column":
        tree.nodes["feature_idx"][by_set] = 1
    else:
        member._bin_mapper.is_categorical_[:] = False
    made.save(model, tmp_path)
    with pytest.raises(Corrupt):
        made.load(tmp_path)
