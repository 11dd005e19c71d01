"""Two sites with stores and credentials of their own: what comes of their rounds, and what neither can see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from containers.embedded.ports import pick
from containers.embedded.seaweedfs import s3_environment, seaweedfs
from tasks.catalog import Catalog, Manifest
from tasks.combine import combine
from tasks.config import Corpus
from tasks.errors import BadInput
from tasks.prepare import prepare
from tasks.snapshot import resolve, snapshot
from tasks.step import Context
from tasks.store import open_store
from tasks.training import Training, load_model
from tasks.training.work import read_table
from tests.gang.gang import ROOT
from tests.published import Days, document
from tests.unit.test_evaluate_merge import rows

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

SITES = ("berlin", "paris")
DAY = "2026-11-20"
CANARY = {"berlin": "zebrafinch", "paris": "quokkafur"}
"""Words that only one site's documents have."""
RATE = 2.0
PARAMS: dict[str, Any] = {
    **{"batch_size": 128, "learning_rate": RATE, "optimizer": "sgd", "dropout": 0},
    **{"dimension": 8, "filters": 8, "max_tokens": 16, "max_terms": 16, "buckets": 16},
}
"""A site's rows are one batch: a round of both sites is then one step of plain gradient descent on all their rows."""
ROUNDS = 2


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, str]]]:
    """What opens each site's store: two S3 servers, neither of which knows the other's keys."""
    opened: dict[str, dict[str, str]] = {}
    folder = tmp_path_factory.mktemp("sites")
    berlin, paris = pick(), pick()
    keys = {site: (site, uuid.uuid4().hex) for site in SITES}
    with (
        seaweedfs(folder / "b", port=berlin, access_key="berlin", secret_key=keys["berlin"][1], log=folder / "b.log"),
        seaweedfs(folder / "p", port=paris, access_key="paris", secret_key=keys["paris"][1], log=folder / "p.log"),
    ):
        for site, port in (("berlin", berlin), ("paris", paris)):
            opened[site] = s3_environment(port, *keys[site])
        yield opened


def variables(site: str, stores: dict[str, dict[str, str]]) -> dict[str, str]:
    """A site's own variables, as its process is given them."""
    return {f"{site.upper()}_{name}": value for name, value in stores[site].items()}


def sections() -> dict[str, Any]:
    sites = [{"name": s, "store": f"s3://{s}-data/n", "credentials": s.upper()} for s in SITES]
    return {
        "train": {
            "recipe": {"text_encoder": PARAMS},
            "shards": 1,
            "federated": {"rounds": ROUNDS, "local_epochs": 1, "sites": sites},
        },
        "split": {"ratios": {"train": 0.8, "validation": 0.2, "test": 0}},
    }


def data(site: str, count: int) -> list[dict[str, Any]]:
    """A site's documents: some of its labels are rare."""
    labels = "aaaab" if site == "berlin" else "bcccc"
    drawn = rows(count, labels, seed=SITES.index(site) + 5)
    return [
        document(f"http://{site}/{i}", f"{row['text']} {CANARY[site]} {i}", label=row["label"])
        for i, row in enumerate(drawn)
    ]


@pytest.fixture
def centre(
    tmp_path: Path,
    stores: dict[str, dict[str, str]],
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    make_snapshot: Callable[..., Manifest],
) -> tuple[Context, Training]:
    """The centre with its features counted, and each site with a day of its own published."""
    context = make_context(make_corpus(**sections()))
    for site, count in zip(SITES, (120, 60), strict=True):
        store = open_store(f"s3://{site}-data/n", stores[site])
        there = replace(context, store=store, catalog=Catalog(store))
        if not list(store.list("dataset/")):
            folder = tmp_path / site
            folder.mkdir()
            Days(there, folder).publish(DAY, *data(site, count))
    own = make_snapshot(context, train=rows(40), validation=rows(60, seed=1), test=rows(20, seed=2))
    training = Training.of(context.corpus, own)
    for shard in training.shards:
        prepare(context, training, shard)
    combine(context, training)
    source = {"live": {"files": {"path": "/nowhere/*.jsonl"}}}
    (tmp_path / "docs.yaml").write_text(yaml.safe_dump({"corpus": "docs", "source": source, **sections()}))
    return context, training


def run(tmp_path: Path, context: Context, known: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """``nightshift federate`` in a process that knows these variables only."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "NIGHTSHIFT_", *map(str.upper, SITES)))}
    environment = {
        **kept,
        **known,
        "NIGHTSHIFT_STORE": context.store.url,
        "NIGHTSHIFT_CPUS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
    }
    command = ["federate", f"--corpus={tmp_path / 'docs.yaml'}", f"--snapshot={'a' * 16}", "--json", *options]
    program = [sys.executable, "-c", "from tasks.cli import main; main()", *command]
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=600)


def learned(context: Context, site: str, stores: dict[str, dict[str, str]]) -> pa.Table:
    """The train split of a site's own snapshot."""
    store = open_store(f"s3://{site}-data/n", stores[site])
    there = replace(context, store=store, catalog=Catalog(store))
    found = resolve(there, str(snapshot(there).partition))
    return pa.concat_tables([read_table(there, entry) for entry in found.of_role("train")])


def descended(context: Context, training: Training, table: pa.Table, steps: int) -> list[np.ndarray]:
    """The weights after steps w <- w - rate * gradient of the mean loss over all rows, written out."""
    import keras
    import tensorflow as tf

    recipe: Any = training.recipe
    (entry,) = context.catalog.load(training.features(), made_by="combine").of_role("features")
    features = read_table(context, entry)
    columns: dict[str, list[Any]] = {}
    for batch in recipe.encode([table], features):
        for name, values in batch.items():
            columns.setdefault(name, []).extend(values)
    keras.utils.set_random_seed(context.corpus.train.seed)  # as every site draws its first network
    network, inputs = recipe.network(features), recipe.inputs(columns)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(recipe.losses(network, inputs, True)["loss"])
        for variable, gradient in zip(
            network.trainable_variables, tape.gradient(loss, network.trainable_variables), strict=True
        ):
            variable.assign_sub(RATE * tf.convert_to_tensor(gradient))
    return [np.array(array) for array in network.get_weights()]


def test_two_rounds_are_two_steps_on_all_rows_and_neither_site_sees_the_others(
    tmp_path: Path, centre: tuple[Context, Training], stores: dict[str, dict[str, str]]
) -> None:
    context, training = centre
    for number in range(ROUNDS):
        for index, site in enumerate(SITES):
            done = run(tmp_path, context, variables(site, stores), f"--round={number}", f"--site={index}/2")
            assert done.returncode == 0, done.stderr[-4000:]
        done = run(tmp_path, context, {}, f"--round={number}")
        assert done.returncode == 0, done.stderr[-4000:]
    said = json.loads(done.stdout.splitlines()[-1])["counts"]
    part = context.catalog.load(training.model(training.parts[0]), made_by="federate")
    tables = [learned(context, site, stores) for site in SITES]
    rows = [table.num_rows for table in tables]
    assert part.details["sites"] == dict(zip(SITES, rows, strict=True))
    assert said["rows"] == sum(rows)
    assert rows[0] > rows[1] > 0

    # Every average is sum |D_i| / |D| w_i, to the last bit.
    for number in range(ROUNDS):
        folder = f"{training.model()}/rounds/{number:04d}"
        names = [folder, *(f"{folder}/{site}" for site in SITES)]
        averaged, *sites = [weights_of(context, name) for name in names]
        for mean, *each in zip(averaged, *sites, strict=True):
            exact = sum(n / sum(rows) * array.astype(np.float64) for n, array in zip(rows, each, strict=True))
            assert np.array_equal(mean, np.asarray(exact).astype(np.float32))
            assert not np.array_equal(each[0], each[1])
    # And the next round began with it: what came of both is what all rows together would have come to.
    central = descended(context, training, pa.concat_tables(tables), ROUNDS)
    final = weights_of(context, training.model(training.parts[0]))
    for name, mean, step in zip(("embedding", "window", "window", "labels", "labels"), final, central, strict=True):
        np.testing.assert_allclose(mean, step, rtol=0, atol=1e-5, err_msg=name)

    # Nothing of a site's documents is on the centre's store.
    for info in context.store.list(""):
        content = context.store.read(info.key)
        assert not any(word.encode() in content for word in CANARY.values()), info.key
    files = [context.store.read(entry.key) for entry in part.of_role("model")]
    assert b"asign" in b"".join(files), "words would be found if they were there: these are the centre's own"


def weights_of(context: Context, folder: str) -> list[np.ndarray]:
    """Of the model in a folder, in the network's order."""
    return list(load_model(context, context.catalog.load(folder, made_by="federate"))[1].weights)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("mine", "theirs"), [("berlin", "paris"), ("paris", "berlin")])
def test_a_sites_credentials_open_no_other_sites_store(
    centre: tuple[Context, Training], stores: dict[str, dict[str, str]], mine: str, theirs: str
) -> None:
    own = open_store(f"s3://{mine}-data/n", stores[mine])
    keys = [info.key for info in own.list("dataset/")]
    assert own.read(keys[0])
    crossed = {**stores[mine], "AWS_ENDPOINT_URL": stores[theirs]["AWS_ENDPOINT_URL"]}
    other = open_store(f"s3://{theirs}-data/n", crossed)
    with pytest.raises(BadInput, match=r"refuses these credentials \(InvalidAccessKeyId\)"):
        list(other.list("dataset/"))
    with pytest.raises(BadInput, match=r"refuses these credentials \(InvalidAccessKeyId\)"):
        other.read(keys[0])


def test_a_site_without_its_variables_says_which(
    tmp_path: Path, centre: tuple[Context, Training], stores: dict[str, dict[str, str]]
) -> None:
    context, _ = centre
    done = run(tmp_path, context, variables("paris", stores), "--round=0", "--site=0/2")
    assert done.returncode == 2
    assert "site berlin (s3://berlin-data/n): set BERLIN_AWS_ENDPOINT_URL and BERLIN_AWS_ACCESS_KEY_ID" in done.stderr
    done = run(tmp_path, context, variables("berlin", stores), "--round=1", "--site=0/2")
    assert done.returncode == 2
    assert "run `nightshift federate --corpus docs --snapshot aaaaaaaaaaaaaaaa --round 0` first" in done.stderr
