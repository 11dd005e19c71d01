"""Which pods and gangs the reaper takes, of a cluster that lists what it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from kubernetes.client import models as k8s

from plugins.gang.layout import GANG
from plugins.reaper import reap
from plugins.runtime.airflow import AIRFLOW, airflow_id
from plugins.runtime.pods import Identity

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Cluster:
    """Pods of one namespace."""

    def __init__(self, *pods: k8s.V1Pod) -> None:
        self.pods = {pod.metadata.name: pod for pod in pods}

    def list_namespaced_service(self, namespace: str, label_selector: str) -> Any:
        return SimpleNamespace(items=[])

    def list_namespaced_pod(self, namespace: str, label_selector: str) -> Any:
        return SimpleNamespace(items=[each for each in self.pods.values() if fits(each, label_selector)])

    def delete_namespaced_pod(self, name: str, namespace: str) -> None:
        del self.pods[name]


def fits(pod: k8s.V1Pod, selector: str) -> bool:
    terms = [term.partition("=") for term in selector.split(",")]
    labels = pod.metadata.labels
    return all(labels.get(n) == v if is_ else n.removeprefix("!") not in labels for n, is_, v in terms)


def pod(name: str, run: str, *, minutes: int = 30, shard: int = -1, **labels: str) -> k8s.V1Pod:
    identity = Identity("ingest_docs", "clean", run, 1, shard, airflow_id())
    born = NOW - timedelta(minutes=minutes)
    meta = k8s.V1ObjectMeta(
        name=name,
        namespace="team",
        labels={**identity.labels(), **labels},
        annotations=identity.annotations(),
        creation_timestamp=born,
    )
    return k8s.V1Pod(metadata=meta)


def left_by(*pods: k8s.V1Pod) -> set[str]:
    cluster = Cluster(*pods)
    reaped = reap(cluster, "team", lambda notes: notes["nightshift/run"] == "live", now=NOW)
    assert set(reaped) == {pod.metadata.name for pod in pods} - set(cluster.pods)
    return set(cluster.pods)


def test_a_steps_pod_without_a_live_task_goes() -> None:
    assert left_by(pod("a", "live"), pod("b", "dead")) == {"a"}


def test_a_young_pod_stays_for_now() -> None:
    assert left_by(pod("b", "dead", minutes=3)) == {"b"}


def test_of_a_live_task_only_the_newest_pod_stays() -> None:
    older, newer = pod("a", "live", minutes=40, shard=0), pod("b", "live", minutes=20, shard=0)
    assert left_by(older, newer, pod("c", "live", minutes=50, shard=1)) == {"b", "c"}


def test_anothers_pods_and_those_of_gangs_are_not_its_business() -> None:
    gang, foreign = pod("g", "dead", **{GANG: "docs-train-1"}), pod("f", "dead", **{AIRFLOW: "another"})
    assert left_by(gang, foreign) == {"f", "g"}
