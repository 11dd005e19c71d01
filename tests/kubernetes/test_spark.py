"""`engine: spark` in pods: real steps, each with two executors on a real cluster, make what `engine: local` makes."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from kubernetes import client, utils

from containers.embedded.ports import pick
from containers.embedded.seaweedfs import s3_environment, seaweedfs
from plugins.operators.pod import PodStepOperator
from tasks.catalog import Catalog, Manifest
from tasks.clean import clean_all
from tasks.config import Corpus, parse_corpus
from tasks.crawl import crawl
from tasks.dedup import dedup
from tasks.errors import NightshiftError
from tasks.prepare import prepare
from tasks.snapshot import snapshot
from tasks.split import split
from tasks.step import Context, Shard
from tasks.store import open_store
from tasks.training.work import open_training
from tasks.upload import upload
from tests.faults.field import pod_log
from tests.kubernetes.conftest import IMAGE, SPARK_IMAGE, image, make_namespace, pods, reachable, wait
from tests.kubernetes.steps import Task

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(
        not os.environ.get(SPARK_IMAGE),
        reason=f"no image with Spark: {SPARK_IMAGE} names none; `make images IMAGES=spark` builds it",
    ),
]

DAY = "2026-11-20"
STORY = "the moon rose over the quiet harbour while seven old boats slept along the wall and nobody spoke a word "
RIGHTS = Path(__file__).parents[2] / "containers" / "kubernetes" / "team" / "spark.yaml"
EXECUTORS = "spark-role=executor"


@dataclass
class Place:
    """A namespace with the rights that the manifests give, and a store that its pods reach."""

    cluster: client.CoreV1Api
    namespace: str
    settings: dict[str, str]
    folder: Path
    seen: dict[str, Any] = field(default_factory=dict)
    """The executors that ran, by name."""

    def corpus(self, engine: str = "spark", **spark: str) -> str:
        settings = {
            "spark.executor.instances": "2",
            "spark.executor.memory": "512m",
            "spark.driver.memory": "512m",
            # Two of them beside the step's own pod, on a node of two cores.
            "spark.kubernetes.executor.request.cores": "200m",
            **spark,
        }
        columns = {"id": "id", "text": "text", "label": "label"}
        return yaml.safe_dump(
            {
                "corpus": "docs",
                "runtime": "kubernetes",
                "engine": engine,
                "spark": {
                    "master": "k8s://https://kubernetes.default.svc:443",
                    "image": os.environ.get(SPARK_IMAGE),
                    "service_account": "nightshift-spark",
                    "settings": settings,
                },
                "source": {"live": {"files": {"path": f"{self.folder}/{{partition}}-*.jsonl", "columns": columns}}},
                "clean": {
                    "shards": 2,
                    "document_memory": "512MiB",
                    "filters": [{"length": {"min_words": 10}}],
                    "dedup": {"near": {"threshold": 0.8}},
                },
                "train": {"recipe": {"tfidf_forest": {"trees": 8}}, "shards": 3},
                "resources": {"cpu": "1", "memory": "1536Mi", "timeout": "10m"},
                "kubernetes": {
                    "namespace": self.namespace,
                    "image": image(IMAGE),
                    "grace": "5s",
                    "start_timeout": "4m",
                },
            }
        )

    def context(self, engine: str) -> Context:
        corpus: Corpus = parse_corpus(self.corpus(engine), Path("docs.yaml"), {})
        store = open_store(self.settings["NIGHTSHIFT_STORE"], self.settings)
        return Context(corpus, store, Catalog(store), structlog.get_logger())

    def task(self, step: str, corpus: str | None = None, **options: str) -> Task:
        (path := self.folder / "docs.yaml").write_text(corpus or self.corpus())

        def operator() -> PodStepOperator:
            return PodStepOperator(task_id=step, step=step, corpus=str(path), options=options, logging_interval=1)

        return Task(operator, seconds=600)

    def executors(self) -> dict[str, Any]:
        found = self.cluster.list_namespaced_pod(self.namespace, label_selector=EXECUTORS).items
        return {pod.metadata.name: pod for pod in found}

    def until(
        self, enough: int, what: Callable[[dict[str, Any]], None] | None = None, said: str = ""
    ) -> Callable[[], Awaitable[None]]:
        """Beside a step: wait until so many executors run at once and have said so, then do something about it."""

        async def watch() -> None:
            deadline = asyncio.get_running_loop().time() + 300
            while True:
                running = {
                    name: pod
                    for name, pod in self.executors().items()
                    if pod.status.phase == "Running" and (not said or said in self.log(name))
                }
                if len(running) >= enough:
                    break
                assert asyncio.get_running_loop().time() < deadline, f"{len(running)} executors run, not {enough}"
                await asyncio.sleep(0.2)
            self.seen.update(running)
            if what:
                what(running)

        return watch

    def log(self, name: str) -> str:
        try:
            return pod_log(self.cluster, name, self.namespace)
        except client.ApiException:  # not yet, or no more
            return ""

    def is_empty(self) -> bool:
        maps = [each.metadata.name for each in self.cluster.list_namespaced_config_map(self.namespace).items]
        services = self.cluster.list_namespaced_service(self.namespace).items
        claims = self.cluster.list_namespaced_persistent_volume_claim(self.namespace).items
        assert not services
        assert not claims
        assert set(maps) <= {"kube-root-ca.crt"}
        return not pods(self.cluster, self.namespace)


@pytest.fixture
def place(cluster: client.CoreV1Api, tmp_path: Path) -> Iterator[Place]:
    host, port, secret = reachable(cluster), pick(), uuid.uuid4().hex
    log = tmp_path / "seaweedfs.log"
    with seaweedfs(tmp_path / "s3", port=port, access_key="test", secret_key=secret, log=log, host=host):
        settings = {**s3_environment(port, "test", secret, host), "NIGHTSHIFT_STORE": "s3://spark"}
        name = f"spark-{uuid.uuid4().hex[:8]}"
        make_namespace(cluster, name, settings)
        for manifest in yaml.safe_load_all(RIGHTS.read_text()):
            utils.create_from_dict(cluster.api_client, manifest, namespace=name)
        made = Place(cluster, name, settings, tmp_path)
        write_rows(tmp_path)
        crawl(made.context("spark"), DAY, today=date.fromisoformat(DAY))
        try:
            yield made
            wait(made.is_empty, "no pod is left", 180)
        finally:
            cluster.delete_namespace(name)


def write_rows(folder: Path) -> None:
    """One file is much larger than the others, and some rows are no documents."""
    for number, rows in enumerate((300, 20, 10)):
        with (folder / f"{DAY}-{number}.jsonl").open("w") as out:
            for row in range(rows):
                words = " ".join(f"w{number}x{row * 40 + word}" for word in range(40))
                text = "short" if row % 7 == 0 else STORY * 3 + f"{number} {row}" if row % 2 else words
                document = {"id": f"{number}/{row}", "text": text, "label": "ab"[row // 2 % 2]}
                out.write((json.dumps(document) if row % 11 else "{no json") + "\n")


def alike(manifest: Manifest) -> dict[str, Any]:
    return manifest.model_dump(exclude={"volatile": True, "files": {"__all__": {"etag"}}})


def shards_of(context: Context) -> dict[str, Any]:
    """The manifests of a day's clean shards."""
    folder = f"clean/docs/{DAY}/shards"
    return {
        f"clean {index}": alike(context.catalog.load(f"{folder}/{index}-of-2", made_by="clean")) for index in range(2)
    }


def forget(context: Context) -> None:
    """Delete whatever was made of the raw day."""
    for each in [each.key for each in context.store.list("")]:
        if not each.startswith("raw/"):
            context.store.delete(each)


def made_by(context: Context, run: Callable[..., None]) -> dict[str, Any]:
    """The manifests of a day and of a training's features, whose three spread steps ``run`` does."""
    made: dict[str, Any] = {}
    load = context.catalog.load
    run("clean", partition=DAY)
    made |= shards_of(context)
    run("dedup", partition=DAY)
    made["dedup"] = alike(load(f"clean/docs/{DAY}", made_by="dedup"))
    split(context, DAY)
    upload(context, DAY)
    training = open_training(context, snapshot(context).manifest)
    run("prepare", snapshot=training.snapshot_id)
    for index in range(3):
        made[f"prepare {index}"] = alike(load(training.features(Shard(index, 3)), made_by="prepare"))
    return made


def test_two_executors_make_the_files_of_the_local_engine(place: Place) -> None:
    spark, local = place.context("spark"), place.context("local")

    def in_pods(step: str, **options: str) -> None:
        ran = len(place.seen)
        assert place.task(step, **options).run(place.until(2)).startswith("s3://")
        assert len(place.seen) == ran + 2

    def here(step: str, **options: str) -> None:
        if step == "prepare":
            training = open_training(local, options["snapshot"])
            assert not any(prepare(local, training, Shard(index, 3)).noop for index in range(3))
        else:
            done = {"clean": clean_all, "dedup": dedup}[step](local, options["partition"])
            assert not done.noop

    made = made_by(spark, in_pods)
    assert made["dedup"]["counts"]["rejected"]["near_duplicate"] > 100
    forget(spark)
    assert made == made_by(local, here)
    for pod in place.seen.values():
        check_is_harmless(pod, place)


def check_is_harmless(pod: Any, place: Place) -> None:
    """An executor may no more than a step's pod, says no secret of the store, and belongs to its step."""
    (container,) = pod.spec.containers
    context = container.security_context
    assert pod.spec.security_context.run_as_non_root
    assert pod.spec.security_context.seccomp_profile.type == "RuntimeDefault"
    assert context.read_only_root_filesystem
    assert context.allow_privilege_escalation is False
    assert context.capabilities.drop == ["ALL"]
    assert pod.spec.automount_service_account_token is False
    assert not any("serviceaccount" in mount.mount_path for mount in container.volume_mounts)
    assert container.env_from[0].secret_ref.name == "nightshift-store"
    assert place.settings["AWS_SECRET_ACCESS_KEY"] not in str(pod)
    (owner,) = pod.metadata.owner_references
    assert owner.kind == "Pod"
    assert owner.name.startswith("docs-")


def test_a_step_outlives_an_executor(place: Place) -> None:
    def strike(running: dict[str, Any]) -> None:
        place.cluster.delete_namespaced_pod(next(iter(running)), place.namespace, grace_period_seconds=0)

    at_work = place.until(1, strike, said="Running task")
    assert place.task("clean", partition=DAY).run(at_work).startswith("s3://")
    (struck, *_) = place.seen
    assert struck not in place.executors()
    # And no row was lost with it, nor written twice.
    spark, local = place.context("spark"), place.context("local")
    made = shards_of(spark)
    forget(spark)
    assert not clean_all(local, DAY).noop
    assert made == shards_of(local)


def test_executors_go_with_a_step_that_was_killed(place: Place) -> None:
    def strike(running: dict[str, Any]) -> None:
        (owner,) = next(iter(running.values())).metadata.owner_references
        place.cluster.delete_namespaced_pod(owner.name, place.namespace, grace_period_seconds=0)

    with pytest.raises(NightshiftError, match="is gone"):
        place.task("clean", partition=DAY).run(place.until(2, strike, said="Running task"))
    wait(lambda: not place.executors(), "the executors go too", 120)


def test_a_step_without_rights_says_which(place: Place) -> None:
    corpus = place.corpus().replace("service_account: nightshift-spark", "service_account: default")
    with pytest.raises(NightshiftError, match=r"Spark did not start .*forbidden"):
        place.task("clean", corpus, partition=DAY).run()


def test_executors_that_never_run_are_told(place: Place) -> None:
    asked = {f"spark.kubernetes.executor.{kind}.cores": "900" for kind in ("request", "limit")}
    corpus = place.corpus(**asked).replace("start_timeout: 4m", "start_timeout: 20s")
    with pytest.raises(NightshiftError, match="no executor of Spark ran within 20 s; `kubectl get events"):
        place.task("clean", corpus, partition=DAY).run()
