"""What the operator and the reaper do to a gang in the cluster; blocking."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml
from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import generic_api_retry
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk.exceptions import AirflowRuntimeError
from kubernetes.client import ApiException
from kubernetes.client import models as k8s
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from plugins.gang.layout import WORKER, Layout, Marks, layout_of, pod_of_worker, service_of
from plugins.runtime.pod_state import Member, member_of
from tasks.errors import BadInput, NightshiftError

NO_WAY = (ConfigException, AirflowException, AirflowRuntimeError, yaml.YAMLError, OSError)
"""Of a kubeconfig or a connection that is not there, or says nothing that can be used."""


def connect(connection: Mapping[str, Any]) -> Any:
    """The client of a cluster; ``connection`` are arguments of ``KubernetesHook``.

    Raises:
        NightshiftError: there is no way to it.
    """
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

    try:
        return KubernetesHook(**connection).core_v1_client
    except NO_WAY as error:
        told = ", ".join(f"{name}={value!r}" for name, value in connection.items() if value is not None)
        raise NightshiftError(f"no way to the cluster ({told or 'its defaults'}): {error}") from error


def create(client: Any, layout: Layout, marks: Marks, template: k8s.V1Pod, common: Sequence[str]) -> Layout:
    """Make the Service, then the pods that it owns; all or nothing.

    Raises:
        NightshiftError: the cluster would not; ``BadInput`` where it never will.
    """
    made = None
    try:
        service = client.create_namespaced_service(layout.namespace, service_of(layout, marks))
        made = replace(layout, owner=service.metadata.uid)
        for worker in range(layout.workers):
            client.create_namespaced_pod(layout.namespace, pod_of_worker(made, template, common, worker))
    except (ApiException, HTTPError) as error:
        # A request whose answer was lost may have been carried out all the same.
        with contextlib.suppress(NightshiftError):
            delete(client, made or layout)
        raise explained(error, f"cannot start the gang {layout.name} in namespace {layout.namespace}") from error
    return made


def generations(client: Any, namespace: str, selector: str) -> list[k8s.V1Service]:
    """The Services that ``selector`` finds, newest first, without those that are on their way out."""
    try:
        found = _list_services(client, namespace, selector)
    except (ApiException, HTTPError) as error:
        raise explained(error, f"cannot look for gangs in namespace {namespace}") from error
    return _newest_first(found)


def steps(client: Any, namespace: str, selector: str) -> list[k8s.V1Pod]:
    """As ``generations``, the pods that ``selector`` finds."""
    try:
        found = _list_pods(client, namespace, selector)
    except (ApiException, HTTPError) as error:
        raise explained(error, f"cannot look for pods in namespace {namespace}") from error
    return _newest_first(found)


def members(client: Any, layout: Layout) -> list[Member]:
    """Every worker as its pod says."""
    try:
        pods = _list_pods(client, layout.namespace, layout.selector)
    except (ApiException, HTTPError) as error:
        raise explained(error, f"cannot look at the pods of the gang {layout.name}") from error
    return members_of(layout, pods)


def members_of(layout: Layout, pods: Sequence[Any]) -> list[Member]:
    """One member for each worker; a worker without a pod is gone."""
    by_worker = {int(pod.metadata.labels[WORKER]): pod for pod in pods}
    return [member_of(i, layout.pod_name(i), by_worker.get(i)) for i in range(layout.workers)]


def delete(client: Any, layout: Layout) -> None:
    """Leave nothing: the Service first, so that Kubernetes itself finishes what we cannot.

    Raises:
        NightshiftError: the cluster did not answer, or would not.
    """
    try:
        _unless_gone(client.delete_namespaced_service, layout.name, layout.namespace)
        for worker in range(layout.workers):
            _unless_gone(client.delete_namespaced_pod, layout.pod_name(worker), layout.namespace)
    except (ApiException, HTTPError) as error:
        raise explained(error, f"cannot delete the gang {layout.name} in namespace {layout.namespace}") from error


def delete_service(client: Any, service: k8s.V1Service) -> None:
    """As ``delete``, of the gang that a Service stands for."""
    delete(client, layout_of(service))


def delete_pod(client: Any, pod: k8s.V1Pod) -> None:
    """Delete one pod, if it is there.

    Raises:
        NightshiftError: the cluster did not answer, or would not.
    """
    name, namespace = pod.metadata.name, pod.metadata.namespace
    try:
        _unless_gone(client.delete_namespaced_pod, name, namespace)
    except (ApiException, HTTPError) as error:
        raise explained(error, f"cannot delete the pod {name} in namespace {namespace}") from error


def _newest_first(found: Sequence[Any]) -> list[Any]:
    alive = [each for each in found if each.metadata.deletion_timestamp is None]
    return sorted(alive, key=lambda each: each.metadata.creation_timestamp, reverse=True)


@generic_api_retry  # type: ignore[untyped-decorator]
def _list_services(client: Any, namespace: str, selector: str) -> list[Any]:
    return list(client.list_namespaced_service(namespace, label_selector=selector).items)


@generic_api_retry  # type: ignore[untyped-decorator]
def _list_pods(client: Any, namespace: str, selector: str) -> list[Any]:
    return list(client.list_namespaced_pod(namespace, label_selector=selector).items)


@generic_api_retry  # type: ignore[untyped-decorator]
def _unless_gone(call: Any, name: str, namespace: str) -> None:
    try:
        call(name, namespace)
    except ApiException as error:
        if error.status != 404:
            raise


def explained(error: Exception, what: str) -> NightshiftError:
    """What the cluster said, for whoever reads the task's log; ``BadInput`` where a retry would hear the same."""
    if not isinstance(error, ApiException):
        return NightshiftError(f"{what}: the Kubernetes API does not answer: {error}")
    said = _message(error)
    if error.status == 403 and "exceeded quota" in said:
        return NightshiftError(f"{what}: the namespace's quota is used up: {said}")
    if error.status == 403:
        return BadInput(
            f"{what}: Airflow may not do that in this cluster: {said}. See containers/ for the Role it needs"
        )
    if error.status in (400, 404, 422):
        return BadInput(f"{what}: {said}")
    return NightshiftError(f"{what}: the Kubernetes API answered {error.status}: {said}")


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
