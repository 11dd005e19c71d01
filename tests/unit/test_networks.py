"""The recipes whose workers train in step, without workers: examples, networks, models, files. Starts TensorFlow."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file

from tasks.errors import BadInput, Corrupt
from tasks.models._focal import focal
from tasks.models._tensors import TENSORS, WORDS
from tasks.models.logistic import Logistic, LogisticParams
from tasks.models.text_encoder import TextEncoder, TextEncoderParams
from tests.steps import after_steps

FILLER = [f"word{i}" for i in range(20)]
SMALL: dict[str, dict[str, Any]] = {
    "logistic": {"max_terms": 24},
    "text_encoder": {"max_tokens": 16, "max_terms": 24, "dimension": 8, "filters": 4, "buckets": 3, "windows": (2, 3)},
}


def recipe(name: str, **params: Any) -> Any:
    values = {**SMALL[name], **params}
    if name == "logistic":
        return Logistic(LogisticParams(**values), 0)
    return TextEncoder(TextEncoderParams(**values), 0)


def rows(count: int, labels: str = "abc", seed: int = 0) -> pa.Table:
    """Rows whose label shows in one of their words, and whose group is their label in every other."""
    chance = random.Random(seed)
    said = [labels[i % len(labels)] for i in range(count)]
    texts = [" ".join([*chance.choices(FILLER, k=8), f"{label}sign"]) for label in said]
    groups = [label if i % 2 else None for i, label in enumerate(said)]
    return pa.table({"uid": [str(i) for i in range(count)], "text": texts, "label": said, "group": groups})


def features_of(made: Any, table: pa.Table) -> pa.Table:
    return made.combine([made.count(iter([table]))], table.num_rows)


def encoded(made: Any, batches: Iterator[pa.Table], features: pa.Table) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in made.fields()}
    for chunk in made.encode(batches, features):
        for name, values in chunk.items():
            columns[name].extend(np.asarray(value).tolist() for value in values)
    return columns


def fitted(made: Any, table: pa.Table, steps: int = 30) -> Any:
    """A model after a few steps on all rows at once; the training loop is not here."""
    features = features_of(made, table)
    rate = 0.3 if isinstance(made, Logistic) else 0.05  # few steps are to be enough
    return after_steps(made, features, encoded(made, iter([table]), features), rate=rate, steps=steps)


def chances(made: Any, model: Any, table: pa.Table) -> np.ndarray:
    columns = {name: table[name].to_pylist() for name in made.columns}
    return np.asarray(made.predict(model, table["text"].to_pylist(), columns))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_focal_loss_is_that_of_its_paper_and_has_a_slope_everywhere(gamma: float) -> None:
    import tensorflow as tf

    chance = np.array([0.01, 0.3, 0.9, 0.99, 1.0])
    entropy = tf.constant(-np.log(chance), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(entropy)
        loss = focal(entropy, gamma)
    np.testing.assert_allclose(loss, -((1 - chance) ** gamma) * np.log(chance), rtol=1e-4, atol=1e-8)
    assert np.isfinite(tape.gradient(loss, entropy)).all()


@pytest.mark.parametrize(
    ("name", "labels", "params"),
    [
        ("logistic", "abc", {}),
        ("logistic", "ab", {"columns": ("group",), "l2": 1e-4}),
        ("text_encoder", "abc", {}),
        ("text_encoder", "ab", {}),
        ("logistic", "ab", {"focal_gamma": 2.0}),
        ("text_encoder", "abc", {"focal_gamma": 2.0}),
    ],
)
def test_what_was_learned_is_saved_read_back_and_predicts(
    name: str, labels: str, params: dict[str, Any], tmp_path: Path
) -> None:
    made, table = recipe(name, **params), rows(60, labels)
    model = fitted(made, table)
    said = chances(made, model, table)
    assert said.shape == (60, len(labels))
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert [made.labels(model)[i] for i in said.argmax(axis=1)] == table["label"].to_pylist()
    assert made.facts(model)["parameters"] == sum(array.size for array in model.weights)
    assert chances(made, model, table.slice(0, 0)).shape == (0, len(labels))

    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        made.save(model, tmp_path / folder)
    loaded = made.load(tmp_path / "one")
    np.testing.assert_array_equal(chances(made, loaded, table), said)
    for file in (TENSORS, WORDS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    # A row alone is what it is among others.
    np.testing.assert_allclose(chances(made, model, table.slice(7, 1))[0], said[7], atol=1e-6)


@pytest.mark.parametrize("labels", ["ab", "abc"])
def test_the_network_says_what_predict_says(labels: str) -> None:
    import tensorflow as tf

    made, table = recipe("logistic"), rows(12, labels)
    features = features_of(made, table)
    network = made.network(features)
    chance = np.random.default_rng(0)
    weights = [chance.normal(size=array.shape).astype(np.float32) for array in network.get_weights()]
    network.set_weights(weights)
    columns = encoded(made, iter([table]), features)
    batch = {name: tf.constant(array) for name, array in made.inputs(columns).items()}
    said = chances(made, made.model(weights, features), table)
    losses = made.losses(network, batch, False)
    truths = np.array(columns["label"])
    np.testing.assert_allclose(losses["loss"], -np.log(said[np.arange(12), truths]), rtol=1e-4)
    np.testing.assert_array_equal(losses["accuracy"], said.argmax(axis=1) == truths)


@pytest.mark.parametrize("name", SMALL)
def test_examples_are_the_same_whatever_the_sharding_and_the_batches(name: str) -> None:
    made, table = recipe(name), rows(23)
    features = features_of(made, table)
    whole = encoded(made, iter([table]), features)
    bits = encoded(made, (table.slice(i, 4) for i in range(0, 23, 4)), features)
    assert bits == whole
    arrays = made.inputs(whole)
    assert {len(array) for array in arrays.values()} == {23}
    shapes = {key: array.shape[1:] for key, array in arrays.items()}
    assert {key: array.shape[1:] for key, array in made.inputs({k: v[:2] for k, v in whole.items()}).items()} == shapes


@pytest.mark.parametrize("name", SMALL)
def test_the_average_of_a_model_and_itself_is_the_model(name: str) -> None:
    made, table = recipe(name), rows(30)
    model = fitted(made, table, steps=10)
    np.testing.assert_array_equal(
        chances(made, made.merge([model, model], [0.5, 0.5]), table), chances(made, model, table)
    )


@pytest.mark.parametrize("name", SMALL)
def test_a_warm_start_takes_over_what_terms_and_labels_both_have(name: str) -> None:
    made, table = recipe(name), rows(60)
    champion = fitted(made, table)
    same = features_of(made, table)
    start = made.network(same).get_weights()
    for ours, theirs in zip(made.warm(start, same, champion), champion.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)

    # Other words and one more label: what was learned of the old ones still tells them apart.
    grown = pa.concat_tables([table, rows(40, "dabc", seed=9)])
    features = features_of(made, grown)
    start = made.network(features).get_weights()
    model = made.model(made.warm(start, features, champion), features)
    said = chances(made, model, table)
    assert made.labels(model) == ["a", "b", "c", "d"]
    guesses, truths = said[:60, :3].argmax(axis=1), table["label"].to_pylist()
    assert np.mean([made.labels(model)[i] == true for i, true in zip(guesses, truths, strict=True)]) > 0.9


@pytest.mark.parametrize("windows", [(3, 3), (0, 2)])
def test_windows_that_make_no_network_are_refused(windows: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="none twice"):
        TextEncoderParams(windows=windows)


def test_a_champion_of_another_shape_is_no_start() -> None:
    wide, narrow, table = recipe("text_encoder", filters=6), recipe("text_encoder"), rows(30)
    champion = fitted(wide, table, steps=10)
    features = features_of(narrow, table)
    with pytest.raises(BadInput, match="windows or filters"):
        narrow.warm(narrow.network(features).get_weights(), features, champion)
    two = recipe("logistic")
    champion = fitted(two, rows(30, "ab"), steps=10)
    features = features_of(two, table)
    with pytest.raises(BadInput, match="tells a, b apart"):
        two.warm(two.network(features).get_weights(), features, champion)


@pytest.mark.parametrize("name", SMALL)
def test_files_that_hold_anything_else_are_corrupt(name: str, tmp_path: Path) -> None:
    made, table = recipe(name), rows(30)
    made.save(fitted(made, table, steps=10), tmp_path)
    tensors, words = load_file(tmp_path / TENSORS), json.loads((tmp_path / WORDS).read_text())

    def refused(match: str) -> None:
        with pytest.raises(Corrupt, match=match):
            made.load(tmp_path)
        save_file(tensors, tmp_path / TENSORS)
        (tmp_path / WORDS).write_text(json.dumps(words))

    last = list(tensors)[-1]
    save_file({**tensors, last: tensors[last][..., :-1]}, tmp_path / TENSORS)
    refused(f"{last} is .* expected finite")
    save_file({**tensors, last: np.full_like(tensors[last], np.nan)}, tmp_path / TENSORS)
    refused(f"{last} is .* expected finite")
    save_file({**tensors, "more": tensors[last]}, tmp_path / TENSORS)
    refused("holds .*more.*expected")
    (tmp_path / TENSORS).write_bytes(b"not tensors")
    refused("not readable")
    (tmp_path / WORDS).write_text(json.dumps({**words, "labels": ["a", "a", "b"]}))
    refused("distinct texts")
    (tmp_path / WORDS).unlink()
    refused("not readable")
    np.testing.assert_array_equal(chances(made, made.load(tmp_path), table).shape, (30, 3))
