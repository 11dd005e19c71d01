"""The mirror in a real MLflow server: what people see there, and that no kill leaves it half done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3

from containers.embedded.ports import LOOPBACK, pick
from containers.embedded.service import Service
from tasks.backup import backup
from tasks.backups.vault import Vault
from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.errors import StoreError
from tasks.model_registry import Registry, champion
from tasks.model_registry.mirror import Mirror
from tasks.model_registry.mlflow_rest import MlflowRest, Refused
from tasks.restore import restore
from tasks.rollback import rollback
from tasks.step import Context
from tasks.store import open_store
from tests.champions import LATER, NOW, TRAIN, Killed, Mortal, candidate, crowned, promoted

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real MLflow server on SQLite, one for all tests here."""
    folder = tmp_path_factory.mktemp("mlflow")
    url = f"http://{LOOPBACK}:{(port := pick())}"
    command = [
        str(Path(sys.executable).with_name("mlflow")),
        "server",
        f"--host={LOOPBACK}",
        f"--port={port}",
        f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}",
        f"--default-artifact-root={folder / 'artifacts'}",
        "--workers=1",
    ]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "AWS_"))}
    env = {**inherited, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with Service("MLflow", command, log=folder / "log", env=env, ready=lambda: _answers(url), deadline=240, grace=3):
        yield url


def _answers(url: str) -> bool:
    try:
        return urllib3.request("GET", f"{url}/health", timeout=2, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


@pytest.fixture
def corpus(make_corpus: Callable[..., Corpus], request: pytest.FixtureRequest) -> Corpus:
    """A corpus of its own for each test: they share the server."""
    name = request.node.name.removeprefix("test_").split("[")[0][:60]
    return make_corpus(corpus=name, train=TRAIN)


@pytest.fixture
def context(make_context: Callable[..., Context], corpus: Corpus, server: str) -> Context:
    return make_context(corpus, env={"MLFLOW_TRACKING_URI": server})


class Seen:
    """What a person finds on the server about one corpus."""

    def __init__(self, context: Context) -> None:
        self._mlflow = MlflowRest(context.env)
        self._name = context.corpus.corpus
        self.model = self._mlflow.get("registered-models/get", name=self._name)["registered_model"]
        found = self._mlflow.get("model-versions/search", filter=f"name = '{self._name}'")
        self.versions = {
            int(self._tags(each["tags"])["nightshift.version"]): each for each in found.get("model_versions", [])
        }
        self.count = len(found.get("model_versions", []))
        experiment = self._mlflow.get("experiments/get-by-name", experiment_name=self._name)["experiment"]
        self.runs = self._mlflow.post("runs/search", experiment_ids=[experiment["experiment_id"]])["runs"]

    @property
    def aliases(self) -> dict[str, int]:
        """Alias to our number of the version that it names."""
        ours = {each["version"]: number for number, each in self.versions.items()}
        return {each["alias"]: ours[each["version"]] for each in self.model.get("aliases", [])}

    def _tags(self, tags: list[dict[str, str]]) -> dict[str, str]:
        return {each["key"]: each["value"] for each in tags}

    def tags(self, number: int) -> dict[str, str]:
        return self._tags(self.versions[number]["tags"])

    def data(self, number: int, kind: str) -> dict[str, Any]:
        """Metrics or params of the run of a version."""
        run = next(each for each in self.runs if each["info"]["run_id"] == self.versions[number]["run_id"])
        return {each["key"]: each["value"] for each in run["data"][kind]}


def test_a_promotion_shows_its_metrics_parameters_and_files(context: Context) -> None:
    training = crowned(context)
    seen = Seen(context)
    assert seen.aliases == {"candidate": 1, "champion": 1}
    assert seen.data(1, "metrics") == {
        **{f"{split}_{name}": 1.0 for split in ("validation", "test") for name in ("accuracy", "macro_f1")},
        **{f"{split}_f1/{label}": 1.0 for split in ("validation", "test") for label in "ab"},
        "validation_rows": 6.0,
        "test_rows": 4.0,
    }
    assert seen.data(1, "params") == {"recipe": "keyword", "seed": "0", "surety": "0.9"}
    assert [run["info"]["status"] for run in seen.runs] == ["FINISHED"]
    tags = seen.tags(1)
    assert (tags["nightshift.run"], tags["nightshift.snapshot"]) == (training.run, training.snapshot_id)
    for name in ("model", "report", "snapshot"):
        assert context.store.stat(context.store.key_of(tags[f"nightshift.{name}_url"])) is not None


def test_aliases_follow_promotions_and_rollbacks(context: Context) -> None:
    for seed in (0, 1):
        crowned(context, seed)
    assert Seen(context).aliases == {"candidate": 2, "champion": 2}
    rollback(context, to=None, reason="", by="me", at=LATER)
    assert Seen(context).aliases == {"candidate": 2, "champion": 1}


def test_killed_after_any_write_or_call_the_retry_leaves_one_of_each(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    last = 0
    real = MlflowRest._call

    def dying(self: MlflowRest, method: str, path: str, **content: Any) -> Any:
        answer = real(self, method, path, **content)
        if method == "POST" and not path.endswith("search"):
            calls.append(path)
            if len(calls) == last:
                raise Killed(path)
        return answer

    monkeypatch.setattr(MlflowRest, "_call", dying)
    corpus = context.corpus.corpus
    finished = {"calls": False, "writes": False}
    for kind in finished:
        for number in range(1, 20):
            training = candidate(context, seed=100 * len(kind) + number)
            before = champion(context.catalog, corpus)
            calls.clear()
            last = number if kind == "calls" else 0
            store = Mortal(context.store, number if kind == "writes" else 0)
            try:
                promoted(replace(context, store=store, catalog=Catalog(store)), training)
                finished[kind] = True
            except Killed:
                pass
            last = 0
            promoted(context, training)
            head = Registry(context.catalog, corpus).head()
            assert head.pointed and head.champion is not None and head.champion.run == training.run
            expected = (before.version if before else 0) + 1
            seen = Seen(context)
            assert (head.champion.version, seen.aliases) == (expected, {"candidate": expected, "champion": expected})
            assert seen.count == len(seen.versions) == len(seen.runs) == expected
            assert {run["info"]["status"] for run in seen.runs} == {"FINISHED"}
            assert promoted(context, training).noop
            if finished[kind]:
                break
    assert all(finished.values())


def test_a_server_set_up_anew_is_filled_again_by_promoting_the_champion(context: Context) -> None:
    training = crowned(context)
    mlflow = MlflowRest(context.env)
    mlflow._call("DELETE", "registered-models/delete", json={"name": context.corpus.corpus})
    experiment = mlflow.get("experiments/get-by-name", experiment_name=context.corpus.corpus)["experiment"]
    mlflow.post("experiments/delete", experiment_id=experiment["experiment_id"])
    result = promoted(context, training)
    assert (result.noop, result.counts["version"]) == (False, 1)
    seen = Seen(context)
    assert seen.aliases["champion"] == 1
    assert seen.data(1, "metrics")["test_accuracy"] == 1.0
    assert promoted(context, training).noop


def test_the_slower_of_two_leaves_the_alias_at_the_present_champion(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowned(context)
    training = candidate(context, seed=1)
    real = Mirror.alias

    def overtaken(self: Mirror, name: str, version: Any) -> bool:
        if name == "champion" and version.version == 2:
            monkeypatch.setattr(Mirror, "alias", real)
            rollback(context, to=1, reason="at the same moment", by="another", at=LATER)
        return real(self, name, version)

    monkeypatch.setattr(Mirror, "alias", overtaken)
    promoted(context, training)
    now = champion(context.catalog, context.corpus.corpus)
    assert now is not None and now.version == 1
    assert Seen(context).aliases["champion"] == 1


def test_what_the_server_refuses_is_refused_before_the_champion_changes(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowned(context)
    training = candidate(context, seed=1)
    real = MlflowRest.post

    def full(self: MlflowRest, path: str, **body: Any) -> Any:
        if path == "model-versions/create":
            raise Refused("MLflow: the disk is full", "INTERNAL_ERROR")
        return real(self, path, **body)

    monkeypatch.setattr(MlflowRest, "post", full)
    with pytest.raises(StoreError, match="the disk is full"):
        promoted(context, training)
    now = champion(context.catalog, context.corpus.corpus)
    assert now is not None and now.version == 1
    monkeypatch.setattr(MlflowRest, "post", real)
    assert promoted(context, training).counts["version"] == 2
    assert Seen(context).count == len(Seen(context).runs) == 2


def test_a_restored_champion_is_registered_on_the_server_of_its_new_home(context: Context, tmp_path: Path) -> None:
    quiet = replace(context, env={})
    crowned(quiet)
    vault = Vault(open_store(f"file://{tmp_path}/backup", {}), context.corpus.corpus)
    backup(quiet, vault, at=NOW)
    store = open_store(f"file://{tmp_path}/empty", {})
    target = replace(context, store=store, catalog=Catalog(store))
    restore(target, vault, version=None, by="me", at=LATER)
    seen = Seen(target)
    assert seen.aliases == {"champion": 1}
    assert seen.tags(1)["nightshift.model_url"].startswith(store.url)


def test_credentials_go_into_the_request_and_never_into_a_message(server: str) -> None:
    secret = MlflowRest({"MLFLOW_TRACKING_URI": server.replace("://", "://me:geheim@")})
    assert secret.url == server
    with pytest.raises(Refused) as caught:
        secret.get("registered-models/get", name="nothing")
    assert "geheim" not in str(caught.value)
    assert secret._headers["authorization"].startswith("Basic ")
