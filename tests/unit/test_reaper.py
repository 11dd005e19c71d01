"""Which pods and gangs the reaper takes, of a cluster that lists what it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kubernetes.client import models as k8s

from containers.embedded.airflow import airflow_environment
from containers.embedded.settings import settle
from plugins import settings
from plugins.gang.layout import GANG
from plugins.reaper import ReaperOperator, reap
from plugins.runtime.airflow import AIRFLOW, airflow_id
from plugins.runtime.pods import Identity
from tasks.errors import BadInput, NightshiftError

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


def test_a_cluster_without_a_way_to_it_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_AIRFLOW_ID", "mine")
    swept = list[str]()
    monkeypatch.setattr("plugins.reaper.reap", lambda client, namespace, *rest, **more: swept.append(namespace) or [])
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(KUBECONFIG))
    places = [
        {"namespace": "lost", "config_file": str(tmp_path / "none")},
        {"namespace": "team", "config_file": str(kubeconfig)},
    ]
    with pytest.raises(NightshiftError, match=r"namespace lost: no way to the cluster \(config_file='.*none'\)"):
        ReaperOperator(task_id="reap", places=places).execute({"ti": None})  # type: ignore[typeddict-item]
    assert swept == ["team"]


KUBECONFIG = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
}
CHART = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://airflow-api-server:8080/execution/"}


def deployed(patch: pytest.MonkeyPatch, **environment: str) -> str:
    """The id of an Airflow with this configuration."""
    for name in (*CHART, "AIRFLOW__API__BASE_URL", "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE", "NIGHTSHIFT_AIRFLOW_ID"):
        patch.delenv(name, raising=False)
    for name, value in environment.items():
        patch.setenv(name, value)
    return airflow_id()


def test_two_airflows_of_one_address_are_told_apart_by_namespace_or_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces = [{"AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": name} for name in ("search", "ads")]
    assert len({deployed(monkeypatch, **CHART, **space) for space in spaces}) == 2
    assert deployed(monkeypatch, **CHART, NIGHTSHIFT_AIRFLOW_ID="search.airflow") == "search.airflow"


def test_a_name_outlives_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    before = deployed(monkeypatch, NIGHTSHIFT_AIRFLOW_ID="mine", AIRFLOW__API__BASE_URL="http://127.0.0.1:8080")
    assert before == deployed(monkeypatch, NIGHTSHIFT_AIRFLOW_ID="mine", AIRFLOW__API__BASE_URL="http://127.0.0.1:9090")


@pytest.mark.parametrize("name", ["a name", "-a", "x" * 64])
def test_a_name_that_is_no_label_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="NIGHTSHIFT_AIRFLOW_ID"):
        deployed(monkeypatch, NIGHTSHIFT_AIRFLOW_ID=name)
    assert any("NIGHTSHIFT_AIRFLOW_ID" in fault for fault in settings.wrong({"NIGHTSHIFT_AIRFLOW_ID": name}))


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"AIRFLOW__API__BASE_URL": "http://localhost:8080"},
        {"AIRFLOW__API__BASE_URL": "http://127.0.0.1:8080"},
        {"AIRFLOW__API__BASE_URL": "http://[::1]:8080"},
        CHART,
    ],
)
def test_nothing_is_swept_where_another_airflow_may_have_the_same_id(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(monkeypatch, **environment)
    reaper = ReaperOperator(task_id="reap", places=[{"namespace": "team"}])
    with pytest.raises(BadInput, match=r"no pod was looked for.*NIGHTSHIFT_AIRFLOW_ID"):
        reaper.execute({})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "environment",
    [
        {**CHART, "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": "search"},
        {**CHART, "NIGHTSHIFT_AIRFLOW_ID": "search.airflow"},
        {"AIRFLOW__API__BASE_URL": "https://airflow.example.org"},
        {"AIRFLOW__API__BASE_URL": "http://10.1.2.3:8080"},
    ],
)
def test_an_airflow_with_an_address_or_a_name_of_its_own_sweeps(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(monkeypatch, **environment)
    assert ReaperOperator(task_id="reap", places=[]).execute({}) == []  # type: ignore[typeddict-item]


def test_an_embedded_stack_has_a_name_that_outlives_its_ports_and_is_no_others(tmp_path: Path) -> None:
    first = settle(tmp_path / "one", {"NIGHTSHIFT_AIRFLOW_PORT": "28080"})
    again = settle(tmp_path / "one", {"NIGHTSHIFT_AIRFLOW_PORT": "28181"})
    assert first.url("airflow") != again.url("airflow")
    names = [airflow_environment(tmp_path, s)["NIGHTSHIFT_AIRFLOW_ID"] for s in (first, again)]
    assert names[0] == names[1] != settle(tmp_path / "two", {}).airflow_id
    assert not settings.wrong({"NIGHTSHIFT_AIRFLOW_ID": names[0]})
