"""What the reaper takes and what it leaves, on a real cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from kubernetes import client
from kubernetes.client import models as k8s

from plugins.gang import cluster as gangs
from plugins.gang.layout import Layout, Marks
from plugins.reaper import reap
from plugins.runtime.airflow import airflow_id
from plugins.runtime.pods import Identity
from tests.kubernetes.conftest import IMAGE, image, pods, wait

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

LATER = timedelta(minutes=10)


def start(cluster: client.CoreV1Api, namespace: str, run: str, airflow: str | None = None) -> str:
    """A gang of one that sleeps, of the task ``train`` of a run; its name."""
    identity = Identity("retrain_docs", "train", run, 1)
    labels = {name: value for name, value in identity.labels().items() if name != "try_number"}
    marks = Marks(labels, identity.annotations(), airflow or airflow_id())
    return gangs.create(cluster, Layout.new("docs", namespace, 1), marks, sleeper(), []).name


def sleeper() -> k8s.V1Pod:
    """A pod that sleeps."""
    container = k8s.V1Container(
        name="base",
        image=image(IMAGE),
        command=["python", "-c", "import time; time.sleep(600)"],
        security_context=k8s.V1SecurityContext(run_as_non_root=True),
    )
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(),
        spec=k8s.V1PodSpec(containers=[container], restart_policy="Never", termination_grace_period_seconds=0),
    )


def test_gangs_without_a_live_task_go_and_no_other(cluster: client.CoreV1Api, namespace: str) -> None:
    live, dead = start(cluster, namespace, "live"), start(cluster, namespace, "dead")
    foreign = start(cluster, namespace, "dead", airflow="another")

    def is_live(notes: object) -> bool:
        return notes["nightshift/run"] == "live"  # type: ignore[index]

    now = datetime.now(UTC)
    assert reap(cluster, namespace, is_live, now=now) == [], "they are young"
    assert reap(cluster, namespace, is_live, now=now + LATER) == [dead]
    wait(lambda: set(pods(cluster, namespace)) == {f"{live}-0", f"{foreign}-0"}, "the dead gang's pod is gone")
    assert reap(cluster, namespace, is_live, now=now + LATER) == []


def test_of_a_live_task_only_the_newest_generation_stays(cluster: client.CoreV1Api, namespace: str) -> None:
    older = start(cluster, namespace, "live")
    born = cluster.read_namespaced_service(older, namespace).metadata.creation_timestamp
    wait(lambda: datetime.now(UTC) - born > timedelta(seconds=2), "a stamp of whole seconds tells them apart")
    newer = start(cluster, namespace, "live")
    assert reap(cluster, namespace, lambda notes: True, now=datetime.now(UTC) + LATER) == [older]
    wait(lambda: set(pods(cluster, namespace)) == {f"{newer}-0"}, "the older generation's pod is gone")


def test_a_steps_pod_without_a_live_task_goes(cluster: client.CoreV1Api, namespace: str) -> None:
    for run in ("live", "dead"):
        identity = Identity("ingest_docs", "clean", run, 1, 0, airflow_id())
        meta = k8s.V1ObjectMeta(name=f"clean-{run}", labels=identity.labels(), annotations=identity.annotations())
        cluster.create_namespaced_pod(namespace, k8s.V1Pod(metadata=meta, spec=sleeper().spec))

    def is_live(notes: object) -> bool:
        return notes["nightshift/run"] == "live"  # type: ignore[index]

    now = datetime.now(UTC)
    assert reap(cluster, namespace, is_live, now=now) == [], "they are young"
    assert reap(cluster, namespace, is_live, now=now + LATER) == ["clean-dead"]
    wait(lambda: set(pods(cluster, namespace)) == {"clean-live"}, "the dead task's pod is gone")


def test_deleting_the_service_alone_deletes_the_pods(cluster: client.CoreV1Api, namespace: str) -> None:
    name = start(cluster, namespace, "live")
    cluster.delete_namespaced_service(name, namespace)
    wait(lambda: not pods(cluster, namespace), "Kubernetes itself deletes what the Service owns")
