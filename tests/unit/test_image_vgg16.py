"""Transfer learning on VGG16: cached features are what the whole network sees, and weights come from where one says."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tasks.combine import combine
from tasks.config import Corpus
from tasks.encode import encode
from tasks.errors import BadInput
from tasks.models import _vgg
from tasks.models.image_vgg16 import ImageVgg16, ImageVgg16Params
from tasks.prepare import prepare
from tasks.step import Context, Shard
from tasks.training import Training
from tasks.training.mirrored import records
from tasks.training.mirrored.job import Job
from tests.gated import Gated


def image(seed: int) -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 24, 3), np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


TABLE = pa.table({"image": [image(seed) for seed in range(4)], "label": ["cat", "dog", "cat", "dog"]})


def recipe(**params: Any) -> ImageVgg16:
    return ImageVgg16(ImageVgg16Params.model_validate({"weights": "random", "size": 32, "hidden": 8, **params}), 0)


def test_cached_features_are_what_the_whole_network_sees(tmp_path: Path) -> None:
    vgg = recipe()
    features = vgg.combine([vgg.count(iter([TABLE]))], 4)
    (encoded,) = vgg.encode(iter([TABLE]), features)
    head = vgg.network(features)
    logits = np.asarray(head(vgg.inputs(encoded)["seen"], training=False))
    vgg.save(vgg.model(head.get_weights(), features), tmp_path)
    chances = vgg.predict(vgg.load(tmp_path), [""] * 4, {"image": TABLE["image"].to_pylist()})
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(chances, expected, atol=1e-5)


def test_fine_tuning_learns_from_the_images_themselves(tmp_path: Path) -> None:
    vgg = recipe(fine_tune=1, augment={"flip": True})
    features = vgg.combine([vgg.count(iter([TABLE]))], 4)
    # Through the very files that a worker reads.
    assert records.write(tmp_path / "x.tfrecord", vgg.fields(), vgg.encode(iter([TABLE]), features)) == 4
    columns = records.decode(tmp_path / "x.tfrecord", vgg.fields(), tmp_path / "decoded", 4)
    arrays = vgg.inputs({name: column.take(np.array([2, 0])) for name, column in columns.items()})
    assert arrays["seen"].shape == (2, 32, 32, 3)
    network = vgg.network(features)
    learning = {variable.path.split("/")[0] for variable in network.trainable_variables}
    assert {"block5_conv1", "block5_conv3", "hidden"} <= learning
    assert not any(name.startswith("block4") for name in learning)
    losses = vgg.losses(network, arrays, training=False)
    assert losses["loss"].shape == (2,)
    hard = recipe(fine_tune=1, focal_gamma=2.0).losses(network, arrays, training=False)
    right = np.exp(-losses["loss"].numpy())
    np.testing.assert_allclose(hard["loss"], (1 - right) ** 2 * losses["loss"].numpy(), rtol=1e-3)
    champion = recipe().model(recipe().network(features).get_weights(), features)
    warm = vgg.warm(network.get_weights(), features, champion)
    assert [array.shape for array in warm] == [array.shape for array in network.get_weights()]


def test_weights_are_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(BadInput, match="ask for `weights: random`"):
        _vgg.weights("imagenet", _vgg.shapes(), 0)
    with pytest.raises(BadInput, match="no file"):
        _vgg.weights(str(tmp_path / "none.h5"), _vgg.shapes(), 0)
    with pytest.raises(BadInput, match="nothing at"):
        _vgg.weights(f"file://{tmp_path}/none.h5", _vgg.shapes(), 0)


def test_weights_are_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = _vgg.weights("random", _vgg.shapes(), 3)
    names = [f"block{block}_conv{n}" for block, count in enumerate((2, 2, 3, 3, 3), 1) for n in range(1, count + 1)]
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for place, name in enumerate(names):
            group = file.create_group(f"{name}/{name}")
            group["bias:0"], group["kernel:0"] = given[2 * place + 1], given[2 * place]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    for source in (str(tmp_path / "w.h5"), f"file://{tmp_path}/w.h5"):
        found = _vgg.weights(source, _vgg.shapes(), 0)
        assert all((one == other).all() for one, other in zip(found, given, strict=True))
    assert list((tmp_path / "scratch").iterdir()) == [], "what was fetched is not left behind"
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["block1_conv1/kernel:0"] = np.zeros((3, 3, 3, 8))
    with pytest.raises(BadInput, match="not the weights of VGG16"):
        _vgg.weights(str(tmp_path / "other.h5"), _vgg.shapes(), 0)


def test_weights_that_were_replaced_encode_anew_and_never_meet_examples_of_the_old_ones(
    make_corpus: Callable[..., Corpus], make_context: Callable[..., Context], tmp_path: Path
) -> None:
    weights = tmp_path / "w.h5"
    weights.write_bytes(b"one")
    made = {"image_vgg16": {"weights": str(weights), "fine_tune": 1, "size": 32}}
    corpus = make_corpus(kind="images", train={"recipe": made, "shards": 1})
    context = make_context(corpus)
    given = Gated(context, tmp_path)
    rows = TABLE.append_column("uid", pa.array("abcd")).append_column("text", pa.array([""] * 4))
    files = tuple(given.file("snapshots/docs/x", role, rows) for role in ("train", "validation"))
    snapshot = given.recommit(given.raw(), f"snapshots/docs/{'a' * 16}", files=files, step="snapshot")
    training = Training.of(corpus, snapshot)
    prepare(context, training, Shard())
    combine(context, training)
    assert not encode(context, training, Shard()).noop
    assert encode(context, training, Shard()).noop
    before = Job.of(context, training)
    before.require_files()

    weights.write_bytes(b"other")
    with pytest.raises(BadInput, match=rf"{weights} is not the file that shard 0/1 was encoded with"):
        before.require_files()
    assert not encode(context, training, Shard()).noop
    after = Job.of(context, training)
    after.require_files()
    assert after.fingerprint != before.fingerprint, "nor is the training a no-op, or resumed"
