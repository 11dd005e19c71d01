"""The pod of a step, as the corpus YAML describes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client import ApiClient
from pydantic import ValidationError

from plugins.runtime.pods import Group, Identity, Work, pod_of
from tasks.config import Corpus
from tasks.config.quantity import bytes_of, cores
from tasks.errors import BadInput
from tasks.gang.timing import Timing

RUN = "manual__2026-11-20T00:00:00+00:00"
WHO = Identity("retrain_docs", "train", RUN, 2, 1)

Made = Callable[..., dict[str, Any]]


@pytest.fixture
def pod(make_corpus: Callable[..., Corpus]) -> Made:
    """``pod(step="train", resources={…}, **kubernetes)``: the pod as the API gets it."""

    def make(
        step: str = "train",
        *,
        label: str = "",
        group: Group | None = None,
        resources: Any = None,
        text: str = "corpus: docs",
        **more: Any,
    ) -> dict[str, Any]:
        corpus = make_corpus(
            runtime="kubernetes",
            kubernetes={"image": "example.org/pipeline:1", **more},
            resources=resources or {},
        )
        work = Work(step, [step, "--json"], WHO, label, {"EXTRA": "1"}, group)
        made: dict[str, Any] = ApiClient().sanitize_for_serialization(pod_of(corpus, text, work))
        return made

    return make


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["spec"]["containers"]
    return dict(only)


def test_a_pod_may_nothing_that_its_step_does_not_need(pod: Made) -> None:
    made = pod()
    assert made["spec"]["automountServiceAccountToken"] is False
    assert made["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    context = container(made)["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert [mount["mountPath"] for mount in container(made)["volumeMounts"]] == ["/tmp"]


def test_secrets_come_from_the_cluster_and_the_yaml_goes_unexpanded(pod: Made) -> None:
    made = container(pod(text="corpus: docs\nowner: ${TEAM}\n"))
    environment = {each["name"]: each["value"] for each in made["env"]}
    assert environment["NIGHTSHIFT_CORPUS_YAML"] == "corpus: docs\nowner: ${TEAM}\n"
    assert environment["NIGHTSHIFT_RESULT_FILE"] == made["terminationMessagePath"] == "/dev/termination-log"
    assert environment["EXTRA"] == "1"
    assert made["envFrom"] == [{"secretRef": {"name": "nightshift-store"}}]


def test_a_pod_that_everybody_forgot_ends_after_its_task(pod: Made) -> None:
    spec = pod(resources={"timeout": "1h"}, grace="45s")["spec"]
    assert spec["activeDeadlineSeconds"] == 3900
    assert spec["terminationGracePeriodSeconds"] == 45
    assert spec["restartPolicy"] == "Never"


def test_an_evicted_worker_has_time_for_its_checkpoint(make_corpus: Callable[..., Corpus]) -> None:
    timing, pods = Timing(), {"runtime": "kubernetes", "kubernetes": {"image": "x"}}
    corpus = make_corpus(train={"recipe": "text_encoder"}, **pods)
    assert corpus.kubernetes is not None
    assert corpus.kubernetes.grace.total_seconds() >= timing.grace + timing.settle + timing.farewell
    short = {"image": "x", "grace": "59s"}
    with pytest.raises(ValidationError, match=r"kubernetes.grace: 59 s, and a worker of a gang .* need 60 s"):
        make_corpus(train={"recipe": "text_encoder"}, runtime="kubernetes", kubernetes=short)
    assert make_corpus(train={"recipe": "text_encoder"}, kubernetes=short).runtime == "local"
    assert make_corpus(train={"recipe": "tfidf_forest"}, runtime="kubernetes", kubernetes=short).kubernetes


def test_labels_and_annotations_name_the_task(pod: Made) -> None:
    meta = pod(labels={"team": "search"}, annotations={"example.org/cost": "42 and more"})["metadata"]
    assert meta["labels"]["dag_id"] == "retrain_docs"
    assert meta["labels"]["try_number"] == "2"
    assert meta["labels"]["map_index"] == "1"
    assert meta["labels"]["team"] == "search"
    assert meta["annotations"]["nightshift/run"] == RUN
    assert meta["annotations"]["example.org/cost"] == "42 and more"


@pytest.mark.parametrize(
    ("step", "label", "expected"),
    [
        ("clean", "0/4", "pipeline"), ("gate", "splits", "pipeline"), ("gate", "features", "trainer"),
        ("snapshot", "", "trainer"), ("train", "0/2", "trainer"), ("promote", "", "trainer"),
    ],
)  # fmt: skip
def test_what_makes_the_id_of_a_training_runs_in_the_trainers_image(
    pod: Made, step: str, label: str, expected: str
) -> None:
    made = pod(step, label=label, trainer_image="example.org/trainer:1")
    assert container(made)["image"] == f"example.org/{expected}:1"
    assert container(pod(step, label=label))["image"] == "example.org/pipeline:1"


def test_only_what_trains_takes_gpus(pod: Made) -> None:
    resources = {"cpu": "1500m", "memory": "3Gi", "gpus": 2}
    asked = container(pod(resources=resources))["resources"]
    assert asked["limits"] == asked["requests"] == {"cpu": "1500m", "memory": "3Gi", "nvidia.com/gpu": "2"}
    assert "nvidia.com/gpu" not in container(pod("evaluate", resources=resources))["resources"]["limits"]


def test_a_queue_admits_pods_and_gangs_as_a_whole(pod: Made) -> None:
    single, gang = pod(queue="team"), pod(queue="team", group=Group("docs-train-1", 4))
    assert single["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert "kueue.x-k8s.io/pod-group-name" not in single["metadata"]["labels"]
    assert gang["metadata"]["labels"]["kueue.x-k8s.io/pod-group-name"] == "docs-train-1"
    assert gang["metadata"]["annotations"]["kueue.x-k8s.io/pod-group-total-count"] == "4"
    apart = pod(queue="team", pod_group=False, group=Group("docs-train-1", 4))
    assert "kueue.x-k8s.io/pod-group-name" not in apart["metadata"]["labels"]


def test_the_yaml_says_where_pods_may_run_and_what_is_mounted(pod: Made) -> None:
    spec = pod(
        node_selector={"pool": "night"},
        tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        priority_class="low",
        service_account="worker",
        image_pull_secrets=["registry"],
        volumes=[{"name": "in", "mount": "/in", "claim": "data"}, {"name": "ca", "mount": "/ca", "config_map": "ca"}],
    )["spec"]
    assert spec["nodeSelector"] == {"pool": "night"}
    assert spec["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert spec["priorityClassName"] == "low"
    assert spec["serviceAccountName"] == "worker"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert {each["name"] for each in spec["volumes"]} == {"scratch", "in", "ca"}


def test_a_yaml_that_cannot_travel_is_refused(pod: Made) -> None:
    with pytest.raises(BadInput, match="100000"):
        pod(text="#" * 100_001)


@pytest.mark.parametrize(
    ("section", "values", "says"),
    [
        ("resources", {"memory": "512m"}, "under 16Mi"),
        ("resources", {"memory": "2GB"}, "not a Kubernetes quantity"),
        ("resources", {"cpu": "0"}, "above 0"),
        ("resources", {"cpu": "two"}, "cores as in 2, 0.5 or 500m"),
        ("kubernetes", {"image": "x", "env": {"AWS_SECRET_ACCESS_KEY": "k"}}, "env_secret"),
        ("kubernetes", {"image": "x", "labels": {"nightshift/corpus": "mine"}}, "set by Nightshift itself"),
        ("kubernetes", {"image": "x", "labels": {"team": "search & more"}}, "at most 63"),
        ("kubernetes", {"image": "x", "namespace": "Team_A"}, "not a Kubernetes name"),
        ("kubernetes", {"image": "x y"}, "not an image"),
        ("kubernetes", {"image": "x", "tolerations": [{"operator": "Exists", "value": "v"}]}, "takes no value"),
        ("kubernetes", {"image": "x", "volumes": [{"name": "v", "mount": "/v"}]}, "give one of claim"),
        ("kubernetes", {"image": "x", "volumes": [{"name": "scratch", "mount": "/v", "claim": "c"}]}, "is /tmp"),
    ],
)  # fmt: skip
def test_what_the_cluster_would_refuse_is_refused_in_the_yaml(
    make_corpus: Callable[..., Corpus], section: str, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        make_corpus(**{section: values})


def test_quantities_are_what_kubernetes_takes_them_for() -> None:
    assert (cores("1500m"), cores("0.5"), bytes_of("2Gi"), bytes_of("1.5M")) == (1.5, 0.5, 2 << 30, 1_500_000)
