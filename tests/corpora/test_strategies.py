"""Training with parameter servers, and on sites' own data, as a corpus's YAML asks for it, under the real scheduler."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from containers.embedded.ports import pick_many
from containers.embedded.seaweedfs import s3_environment, seaweedfs
from containers.embedded.settings import PORTS
from containers.embedded.stack import BACKUP, STORE, Stack
from tasks.backups.vault import Vault
from tasks.catalog import Catalog, Manifest
from tasks.config import load_corpus
from tasks.model_registry import Registry
from tasks.step import Context
from tasks.store import open_store
from tests.e2e.conftest import COMMON, WORDS
from tests.published import Days, document
from tests.runs import catalog, ended

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

DAY = "2026-11-01"
SITES = ("berlin", "paris")
CONNECTION = "paris_s3"
SMALL = {"batch_size": 8, "dimension": 8, "filters": 8, "buckets": 10, "learning_rate": 0.02}
Write = Callable[..., Any]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, str]]]:
    """What opens each site's store: an S3 server of its own, with keys that no other knows."""
    folder = tmp_path_factory.mktemp("sites")
    secrets = {site: uuid.uuid4().hex for site in SITES}
    berlin, paris = pick_many(len(SITES))
    with (
        seaweedfs(folder / "b", port=berlin, access_key="berlin", secret_key=secrets["berlin"], log=folder / "b.log"),
        seaweedfs(folder / "p", port=paris, access_key="paris", secret_key=secrets["paris"], log=folder / "p.log"),
    ):
        yield {
            site: s3_environment(port, site, secrets[site]) for site, port in zip(SITES, (berlin, paris), strict=True)
        }


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, sites: dict[str, dict[str, str]]) -> Iterator[Stack]:
    """The stack of the centre. Berlin's keys are in its environment, the ones of Paris in a connection of Airflow's."""
    home = tmp_path_factory.mktemp("stack")
    (home / "corpora").mkdir()
    berlin = {f"BERLIN_{name}": value for name, value in sites["berlin"].items()}
    with pytest.MonkeyPatch.context() as patch:
        for (variable, _), port in zip(PORTS.values(), pick_many(len(PORTS)), strict=True):
            patch.setenv(variable, str(port))
        made = Stack(home, corpora=home / "corpora", extra={"NIGHTSHIFT_RETRY_DELAY": "1", **berlin})
    with made:
        paris = sites["paris"]
        made.rest.call(
            "POST",
            "connections",
            {
                "connection_id": CONNECTION,
                "conn_type": "aws",
                "login": paris["AWS_ACCESS_KEY_ID"],
                "password": paris["AWS_SECRET_ACCESS_KEY"],
                "extra": json.dumps(
                    {"endpoint_url": paris["AWS_ENDPOINT_URL"], "region_name": paris.get("AWS_REGION", "us-east-1")}
                ),
            },
        )
        made.mlflow.wait()
        yield made


def text(label: str, draw: random.Random) -> str:
    sentences = (
        " ".join(draw.choice(WORDS[label] if draw.random() < 0.5 else COMMON) for _ in range(12)) for _ in "1234"
    )
    return ". ".join(sentences) + "."


def trained(stack: Stack, name: str) -> tuple[str, Manifest]:
    """Ingest a day and train on it as the DAGs do; the retraining's run, and the merged model."""
    rest = stack.rest
    for dag in (f"ingest_{name}", f"retrain_{name}"):
        rest.wait_for_dag(dag)
        rest.unpause(dag)
    assert ended(stack, f"ingest_{name}", rest.trigger(f"ingest_{name}", partition=DAY)) == "success"
    run = rest.trigger(f"retrain_{name}")
    assert ended(stack, f"retrain_{name}", run, 1800) == "success"
    model = catalog(stack).current(catalog(stack).folder(rest.result(f"retrain_{name}", run, "merge")))
    assert model is not None
    return run, model


def predicted(stack: Stack, name: str, folder: Path) -> list[str]:
    """What the champion says, from the command line, of a text about fruit and one about metal."""
    for label in WORDS:
        (folder / f"{label}.txt").write_text(text(label, random.Random(f"unseen {label}")))
    files = [str(folder / f"{label}.txt") for label in WORDS]
    done = stack.command("predict", "--corpus", name, "--output", str(folder / "said"), "--input", *files)
    assert done.returncode == 0, done.stderr
    said = pq.read_table(folder / "said" / "predictions.parquet").sort_by("url")
    return [str(label) for label in said["predicted"].to_pylist()]


def promoted(stack: Stack, name: str) -> Manifest:
    """The one part of the champion, which is version 1 and has a verified copy."""
    store, backup = (open_store(url, stack.environment) for url in (STORE, BACKUP))
    found = Catalog(store)
    champion = Registry(found, name).champion()
    assert champion is not None and champion.version == 1
    copies, bad = Vault(backup, name).backups()
    assert (len(copies), bad) == (1, [])
    (part,) = found.folders(f"{champion.folder}/parts")
    manifest = found.current(part)
    assert manifest is not None
    return manifest


def test_parameter_servers_train_a_champion_in_one_task_with_a_slot_for_each_member(
    stack: Stack, tmp_path: Path, write_day: Write, archive_corpus: Write
) -> None:
    write_day(tmp_path / "archive", DAY, pages=80)
    archive_corpus(
        Path(stack.environment["NIGHTSHIFT_CORPORA"]),
        "served",
        tmp_path / "archive",
        schedule={"retrain": "manual"},
        train={"strategy": "parameter_server", "recipe": {"text_encoder": {"epochs": 15, **SMALL}}, "shards": 2},
        gates={"model": {"floors": {"accuracy": 0.7}}},
        resources={"workers": 2, "parameter_servers": 1, "retries": 2, "timeout": "20m"},
    )
    run, _ = trained(stack, "served")
    (train,) = [task for task in stack.rest.tasks("retrain_served", run) if task["task_id"] == "train"]
    assert (train["pool"], train["pool_slots"], train["try_number"]) == ("training", 4, 1)
    part = promoted(stack, "served")
    assert part.volatile["workers"] == 2
    (curves,) = part.of_role("curves")
    epochs = json.loads(catalog(stack).store.read(curves.key))
    assert sum(epoch["staleness"] for epoch in epochs) > 0, "nobody waits for the other worker"
    assert predicted(stack, "served", tmp_path) == ["fruit", "metal"]


def test_shards_are_fitted_in_rounds_whose_sum_is_the_model(
    stack: Stack, tmp_path: Path, write_day: Write, archive_corpus: Write
) -> None:
    write_day(tmp_path / "archive", DAY, pages=80)
    archive_corpus(
        Path(stack.environment["NIGHTSHIFT_CORPORA"]),
        "grouped",
        tmp_path / "archive",
        schedule={"retrain": "manual"},
        train={
            "recipe": {"gaussian_mixture": {"clusters": 2, "dimensions": 4, "sample": 20, "rounds": 3}},
            "shards": 2,
        },
        gates={"model": {"floors": {"silhouette": 0.0}}},
        resources={"retries": 2, "timeout": "20m"},
    )
    run, model = trained(stack, "grouped")
    tasks = [(t["task_id"], t["map_index"], t["try_number"]) for t in stack.rest.tasks("retrain_grouped", run)]
    assert sorted(each for each in tasks if each[0].startswith(("round_", "train"))) == [
        (name, shard, 1) for name in ("round_0", "round_1", "train") for shard in (0, 1)
    ]
    assert (model.counts["chosen"], model.counts["parts"]) == ("sum", 2)
    assert "of the last of 3 rounds" in model.details["reason"]
    assert len(set(predicted(stack, "grouped", tmp_path))) == 2


def test_sites_train_a_champion_on_data_that_stay_where_they_are(
    stack: Stack,
    sites: dict[str, dict[str, str]],
    tmp_path: Path,
    write_day: Write,
    archive_corpus: Write,
    make_context: Callable[..., Context],
) -> None:
    write_day(tmp_path / "archive", DAY, pages=60)
    told = [{"name": site, "store": f"s3://{site}-data/n", "credentials": site.upper()} for site in SITES]
    told[1]["connection"] = CONNECTION
    path = archive_corpus(
        Path(stack.environment["NIGHTSHIFT_CORPORA"]),
        "shared",
        tmp_path / "archive",
        schedule={"retrain": "manual"},
        train={
            "recipe": {"text_encoder": {"epochs": 1, **SMALL}},
            "shards": 1,
            "federated": {"rounds": 2, "local_epochs": 8, "sites": told},
        },
        gates={"model": {"floors": {"accuracy": 0.7}}},
        resources={"retries": 2, "timeout": "20m"},
    )
    context = make_context(load_corpus(path, stack.environment))
    for site, count in zip(SITES, (60, 40), strict=True):
        draw = random.Random(site)
        labels = [("fruit", "metal")[i % 2] for i in range(count)]
        rows = [document(f"http://{site}/{i}", text(label, draw), label=label) for i, label in enumerate(labels)]
        store = open_store(f"s3://{site}-data/n", sites[site])
        (tmp_path / site).mkdir()
        Days(replace(context, store=store, catalog=Catalog(store)), tmp_path / site).publish(DAY, *rows)

    run, _ = trained(stack, "shared")
    tasks = stack.rest.tasks("retrain_shared", run)
    rounds = [(t["task_id"], t["map_index"]) for t in tasks if t["task_id"].startswith(("sites_", "average_"))]
    assert sorted(rounds) == [
        *(("average_0", -1), ("average_1", -1)),
        *(("sites_0", 0), ("sites_0", 1), ("sites_1", 0), ("sites_1", 1)),
    ]
    assert {task["try_number"] for task in tasks if task["task_id"].startswith("sites_")} == {1}
    rows_of = promoted(stack, "shared").details["sites"]
    assert set(rows_of) == set(SITES) and rows_of["berlin"] > rows_of["paris"] > 0
    assert predicted(stack, "shared", tmp_path) == ["fruit", "metal"]
    secrets = [sites[site]["AWS_SECRET_ACCESS_KEY"] for site in SITES]
    logs = [each.read_text(errors="replace") for each in (stack.home / "airflow" / "logs").rglob("*.log")]
    assert logs and not any(secret in each for secret in secrets for each in logs)
