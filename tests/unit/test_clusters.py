"""kmeans and gaussian_mixture: against scikit-learn, whatever the sharding, and judged without labels."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.mixture import GaussianMixture as Mixture

from tasks.errors import BadInput, Corrupt
from tasks.judging.base import JUDGES, measures_of
from tasks.models import _space
from tasks.models._tensors import TENSORS
from tasks.models.gaussian_mixture import GaussianMixture, GaussianMixtureParams, MixtureModel
from tasks.models.kmeans import Kmeans, KmeansModel, KmeansParams
from tasks.step import Shard

TOPICS = {
    "sea": ["wave", "tide", "ship", "sail", "reef"],
    "sky": ["star", "moon", "comet", "orbit", "sun"],
    "sod": ["moss", "root", "seed", "fern", "oak"],
}
PLAIN = [f"word{i}" for i in range(12)]


def table(rows: list[dict[str, Any]]) -> pa.Table:
    uids = [hashlib.sha256(str(row).encode()).hexdigest()[:32] for row in rows]
    given = {name: [row.get(name) for row in rows] for name in rows[0]}
    return pa.table({"text": [""] * len(rows), "label": pa.nulls(len(rows), pa.string()), **given, "uid": uids})


def texts(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Documents of three topics, which no label tells."""
    chance = random.Random(seed)
    rows = []
    for i in range(count):
        words = [*chance.choices(PLAIN, k=5), *chance.choices(list(TOPICS.values())[i % 3], k=5), f"{seed}x{i}"]
        rows.append({"text": " ".join(words)})
    return rows


def flowers(label: bool = False) -> list[dict[str, Any]]:
    data = load_iris()
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    rows = [
        {"row": dict(zip(names, map(float, x), strict=True)), "label": str(y) if label else None, "n": i}
        for i, (x, y) in enumerate(zip(data.data, data.target, strict=True))
    ]
    random.Random(0).shuffle(rows)
    return rows


def kmeans(**params: Any) -> Kmeans:
    return Kmeans(KmeansParams(min_df=1, clusters=3, **params), 0)


def mixture(**params: Any) -> GaussianMixture:
    return GaussianMixture(GaussianMixtureParams(min_df=1, clusters=3, **params), 0)


def fitted(made: Any, rows: list[dict[str, Any]], shards: int) -> tuple[list[Any], pa.Table]:
    bits = [table(rows[i::shards]) for i in range(shards)]
    features = made.combine([made.count(_batches(bit)) for bit in bits], len(rows))
    return [made.fit(_batches(bit), features, Shard(i, shards)) for i, bit in enumerate(bits)], features


def _batches(rows: pa.Table) -> Iterator[pa.Table]:
    return (rows.slice(start, 16) for start in range(0, rows.num_rows, 16))


@pytest.mark.parametrize("rows", ["texts", "flowers"])
@pytest.mark.parametrize("make", [kmeans, mixture])
def test_features_and_start_are_the_same_whatever_the_sharding(make: Any, rows: str) -> None:
    given, on = (texts(60), "text") if rows == "texts" else (flowers(), "row")
    one, three = (fitted(make(on=on, sample=30), given, shards)[1] for shards in (1, 3))
    assert one.equals(three, check_metadata=True)


@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("shards", [2, 3, 7])
def test_the_merged_em_step_is_the_step_of_all_rows(shards: int, covariance: str) -> None:
    made = mixture(on="row", iterations=1, covariance=covariance, sample=40)
    (whole,), features = fitted(made, flowers(), 1)
    parts, _ = fitted(made, flowers(), shards)
    merged = made.merge(parts, [1 / shards] * shards)
    for mine, theirs in zip(made.parameters(merged), made.parameters(whole), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)
    # And it is scikit-learn's.
    start = _space.start_of(features)
    points = made._space.points(whole.frame, [""] * 150, {"row": [row["row"] for row in flowers()]})
    theirs = Mixture(3, covariance_type=covariance, reg_covar=1e-3, max_iter=1, tol=0, weights_init=start["weights"],
                     means_init=start["means"], precisions_init=1 / start["covariances"] if covariance == "diag"
                     else np.linalg.inv(start["covariances"]))  # fmt: skip
    with pytest.warns(UserWarning, match="did not converge"):
        theirs.fit(points)
    np.testing.assert_allclose(made.parameters(merged)[1], theirs.means_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(made.parameters(merged)[2], theirs.covariances_, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shards", [2, 5])
def test_the_merged_step_of_kmeans_is_lloyds_of_all_rows(shards: int) -> None:
    made = kmeans(on="row", passes=0, sample=40)
    (whole,), features = fitted(made, flowers(), 1)
    merged = made.merge(fitted(made, flowers(), shards)[0], [1 / shards] * shards)
    np.testing.assert_allclose(merged.centres, whole.centres, rtol=1e-9)
    assert merged.rows.tolist() == whole.rows.tolist()
    start = _space.start_of(features)["centres"]
    points = made._space.points(whole.frame, [""] * 150, {"row": [row["row"] for row in flowers()]})
    nearest = ((points[:, None] - start[None]) ** 2).sum(axis=2).argmin(axis=1)
    for cluster in range(3):
        np.testing.assert_allclose(whole.centres[cluster], points[nearest == cluster].mean(axis=0), rtol=1e-9)


def in_rounds(made: Any, rows: list[dict[str, Any]], shards: int, rounds: int) -> tuple[Any, pa.Table]:
    parts, features = fitted(made, rows, shards)
    weights = [1 / shards] * shards
    for _ in range(rounds - 1 if shards > 1 else 0):
        before = made.merge(parts, weights)
        parts = [made.again(_batches(table(rows[i::shards])), features, before) for i in range(shards)]
    return made.merge(parts, weights), features


def scattered(count: int) -> list[dict[str, Any]]:
    """Three clouds that lie in one another, so that a fit takes many steps."""
    chance = np.random.default_rng(3)
    places = chance.normal(size=(count, 3)) * [1, 2, 0.5]
    places += np.array([[0, 0, 0], [2, 1, 0], [1, -2, 1]])[np.arange(count) % 3]
    return [{"row": dict(zip("abc", map(float, place), strict=True))} for place in places]


@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("shards", [1, 2, 5])
def test_rounds_over_shards_are_em_over_all_rows_by_scikit_learn(shards: int, covariance: str) -> None:
    rows, rounds = scattered(600), 25
    made = mixture(on="row", rounds=rounds, covariance=covariance, sample=20)
    model, features = in_rounds(made, rows, shards, rounds)
    start = _space.start_of(features)
    assert not start["final"]
    points = made._space.points(model.frame, [""] * len(rows), {"row": [row["row"] for row in rows]})
    precisions = 1 / start["covariances"] if covariance == "diag" else np.linalg.inv(start["covariances"])
    begin = {"weights_init": start["weights"], "means_init": start["means"], "precisions_init": precisions}
    theirs = Mixture(3, covariance_type=covariance, reg_covar=1e-3, max_iter=rounds, tol=0, **begin)
    with pytest.warns(UserWarning, match="did not converge"):
        theirs.fit(points)
    for mine, other in zip(made.parameters(model), (theirs.weights_, theirs.means_, theirs.covariances_), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-8)
    few, _ = in_rounds(mixture(on="row", rounds=2, covariance=covariance, sample=20), rows, shards, 2)
    assert np.abs(made.parameters(few)[1] - theirs.means_).max() > 1e-2, "so many steps are no formality"


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_rounds_over_shards_are_lloyds_steps_on_all_rows_by_scikit_learn(shards: int) -> None:
    rows, rounds = scattered(600), 6
    made = kmeans(on="row", rounds=rounds, sample=20)
    model, features = in_rounds(made, rows, shards, rounds)
    start = _space.start_of(features)["centres"]
    points = made._space.points(model.frame, [""] * len(rows), {"row": [row["row"] for row in rows]})
    theirs = KMeans(3, init=start, n_init=1, max_iter=rounds, tol=0, algorithm="lloyd").fit(points)
    assert theirs.n_iter_ == rounds
    np.testing.assert_allclose(model.centres, theirs.cluster_centers_, rtol=1e-9, atol=1e-12)
    assert model.rows.sum() == len(rows)


def test_a_training_without_rounds_is_what_it_was_before_there_were_any() -> None:
    kept = (
        "analyzer batch_size clusters dimensions max_df max_vocabulary min_df ngrams on passes rare sample sublinear_tf"
    )
    assert sorted(KmeansParams().model_dump()) == kept.split()
    assert KmeansParams(rounds=3).model_dump().keys() - KmeansParams().model_dump().keys() == {"rounds"}
    assert KmeansParams(parts=True).model_dump()["parts"] is True


@pytest.mark.parametrize("sample", [60, 2000])
@pytest.mark.parametrize("make", [kmeans, mixture])
def test_topics_are_found_in_shards_and_together(make: Any, sample: int) -> None:
    made = make(dimensions=3, sample=sample)
    parts, _ = fitted(made, texts(300), 2)
    merged = made.merge(parts, [0.5, 0.5])
    unseen = [row["text"] for row in texts(90, seed=5)]
    for model in (*parts, merged):
        said = made.predict(model, unseen)
        assert adjusted_rand_score([i % 3 for i in range(90)], said.chances.argmax(axis=1)) > 0.9
        np.testing.assert_allclose(said.chances.sum(axis=1), 1)
    assert made.facts(merged)["clusters"] == 3


@pytest.mark.parametrize("make", [kmeans, mixture])
def test_shards_of_one_topic_each_make_a_model_of_all(make: Any) -> None:
    made = make(dimensions=3, sample=60)
    parts, _ = fitted(made, texts(300), 3)  # every third row is of the same topic
    said = made.predict(made.merge(parts, [1 / 3] * 3), [row["text"] for row in texts(90, seed=5)])
    assert adjusted_rand_score([i % 3 for i in range(90)], said.chances.argmax(axis=1)) > 0.9


def test_a_shard_with_fewer_rows_than_clusters_still_counts() -> None:
    for made in (kmeans(on="row"), mixture(on="row")):
        bits = [flowers()[:2], flowers()[2:]]
        features = made.combine([made.count(iter([table(bit)])) for bit in bits], 150)
        parts = [made.fit(iter([table(bit)]), features, Shard(i, 2)) for i, bit in enumerate(bits)]  # type: ignore[attr-defined]
        merged: Any = made.merge(parts, [2 / 150, 148 / 150])
        assert (merged.rows if isinstance(merged, KmeansModel) else merged.total).sum() == pytest.approx(150)


def test_missing_cells_lie_at_the_mean_and_categories_are_axes() -> None:
    rows = [{"row": {"size": float(i % 7) if i % 5 else None, "town": "Bern" if i % 2 else "Rome"}} for i in range(40)]
    made = kmeans(on="row")
    (model,), _ = fitted(made, rows, 1)
    assert model.frame.terms == ["size", "town=Bern", "town=Rome"]
    said = made.predict(model, ["", ""], {"row": [{"size": None, "town": "Oslo"}, {"size": 3.0, "town": "Bern"}]})
    assert said.points[0, 0] == 0
    assert said.points[0, 1] == said.points[0, 2] * -1 or said.points[0, 1] < 0  # a value never seen: neither of both
    assert said.points[1, 1] > 0 > said.points[1, 2]


def test_too_few_different_rows_are_refused_in_words() -> None:
    with pytest.raises(BadInput, match=r"clusters is 3, and the 20 rows .* have 2 different places"):
        fitted(kmeans(on="row"), [{"row": {"a": float(i % 2), "b": 1.0}} for i in range(20)], 1)


def test_parts_of_other_spaces_are_not_merged() -> None:
    (one,), _ = fitted(kmeans(), texts(30), 1)
    (other,), _ = fitted(kmeans(), texts(40), 1)
    with pytest.raises(BadInput, match="different spaces"):
        kmeans().merge([one, other], [0.5, 0.5])


@pytest.mark.parametrize("on", ["text", "row"])
@pytest.mark.parametrize("make", [kmeans, mixture])
def test_a_model_is_saved_read_back_and_refused_when_altered(make: Any, on: str, tmp_path: Path) -> None:
    made, rows = make(on=on), texts(40) if on == "text" else flowers()
    (model,), _ = fitted(made, rows, 1)
    made.save(model, tmp_path)
    loaded = made.load(tmp_path)
    given = ([row.get("text", "") for row in rows], {"row": [row.get("row") for row in rows]})
    np.testing.assert_array_equal(made.predict(loaded, *given).chances, made.predict(model, *given).chances)
    assert made.facts(loaded) == made.facts(model)
    name = "centres" if isinstance(model, KmeansModel) else "first"
    tensors = load_file(tmp_path / TENSORS)
    save_file({**tensors, name: tensors[name] * np.nan}, tmp_path / TENSORS)
    with pytest.raises(Corrupt, match=f"{name} is"):
        made.load(tmp_path)
    save_file({k: v for k, v in tensors.items() if k != name}, tmp_path / TENSORS)
    with pytest.raises(Corrupt, match="has no"):
        made.load(tmp_path)


def judged(made: Any, model: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    judge = JUDGES.get(made.judge)(made, model, ("language",))
    for batch in _batches(table([{**row, "language": "en"} for row in rows])):
        columns = {name: batch[name].to_pylist() for name in made.columns}
        judge.add(batch, made.predict(model, batch["text"].to_pylist(), columns))
    return judge.metrics()


def test_metrics_are_those_of_scikit_learn() -> None:
    made = kmeans(on="row")
    (model,), _ = fitted(made, flowers(), 1)
    metrics = judged(made, model, flowers(label=True))
    said = made.predict(model, [""] * 150, {"row": [row["row"] for row in flowers()]})
    clusters, labels = said.chances.argmax(axis=1), [row["label"] for row in flowers(label=True)]
    assert metrics["silhouette"] == pytest.approx(silhouette_score(said.points, clusters))
    centres = model.centres[clusters]
    assert metrics["inertia"] == pytest.approx(((said.points - centres) ** 2).sum() / 150)
    assert metrics["adjusted_rand"] == pytest.approx(adjusted_rand_score(labels, clusters))
    assert metrics["rows"] == 150
    assert metrics["slices"]["language"]["en"]["rows"] == 150
    assert [m.name for m in measures_of(metrics)] == ["silhouette", "inertia"]


def test_a_mixtures_likelihood_is_the_mean_over_rows_and_none_without_any() -> None:
    made = mixture(on="row")
    (model,), _ = fitted(made, flowers(), 1)
    said = made.predict(model, [""] * 150, {"row": [row["row"] for row in flowers()]})
    metrics = judged(made, model, flowers())
    assert metrics["log_likelihood"] == pytest.approx(said.fit.mean())
    assert "adjusted_rand" not in metrics
    empty = JUDGES.get("mixture")(None, None, ()).metrics()
    assert (empty["rows"], empty["log_likelihood"], empty["silhouette"]) == (0, None, None)


def test_a_model_that_puts_all_rows_in_one_cluster_has_the_worst_silhouette() -> None:
    made = kmeans(on="row")
    (model,), _ = fitted(made, flowers(), 1)
    far = KmeansModel(model.frame, model.centres + np.array([[0.0], [1e6], [1e6]]), model.rows)
    assert judged(made, far, flowers())["silhouette"] == -1.0
    assert isinstance(fitted(mixture(on="row"), flowers(), 1)[0][0], MixtureModel)
