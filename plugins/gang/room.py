"""Whether the cluster could ever hold a worker: asked before any pod starts."""

from __future__ import annotations

import logging
from typing import Any

from kubernetes.client import ApiException
from kubernetes.client import models as k8s
from kubernetes.utils.quantity import parse_quantity
from urllib3.exceptions import HTTPError

from plugins.runtime.pod_state import CONTAINER
from tasks.errors import BadInput

log = logging.getLogger(__name__)
_YAML = {"cpu": "resources.cpu", "memory": "resources.memory"}


def require_room(client: Any, pod: k8s.V1Pod, workers: int, *, elastic: bool) -> None:
    """See that some node is large enough for one worker, and all nodes together for the gang, were they empty.

    Nothing is checked where nodes come when they are asked for (``elastic``), and where Airflow may not list nodes,
    which is said.

    Raises:
        BadInput: what is asked for, and what there is.
    """
    if elastic:
        return
    try:
        nodes = client.list_node(label_selector=_selector(pod)).items
    except (ApiException, HTTPError) as error:
        log.warning(
            "not checked whether the cluster has room for %s, as its nodes cannot be listed (%s): what none of them "
            "could ever hold waits for kubernetes.start_timeout. containers/kubernetes/airflow/nodes.yaml gives the "
            "right; where nodes come on demand, set kubernetes.elastic",
            _words(_asked(pod)) or "its pods",
            f"{error.status} {error.reason}" if isinstance(error, ApiException) else error,
        )
        return
    asked = _asked(pod)
    where = f" with {_selector(pod)}" if _selector(pod) else ""
    if not nodes:
        raise BadInput(f"no node{where}: kubernetes.node_selector matches none of the cluster")
    for name, amount in asked.items():
        largest = max((_has(node, name) for node in nodes), default=0)
        if amount > largest:
            key = _YAML.get(name, "resources.gpus")
            there = f"the largest node{where} has {largest:f}" if largest else f"no node{where} has any"
            raise BadInput(f"{key}: a worker asks for {name} {amount:f}, and {there}: it could never be scheduled")
    if workers > (room := sum(_fitting(node, asked) for node in nodes)):
        raise BadInput(
            f"resources.workers: {workers} workers of {_words(asked)} each, and the cluster's nodes{where} could hold "
            f"{room} at once, were they empty: they would wait for each other for ever"
        )


def _fitting(node: Any, asked: dict[str, Any]) -> int:
    return min(int(_has(node, name) // amount) for name, amount in asked.items()) if asked else 1 << 30


def _has(node: Any, name: str) -> Any:
    return parse_quantity((node.status.allocatable or {}).get(name, "0"))


def _asked(pod: k8s.V1Pod) -> dict[str, Any]:
    (container,) = (each for each in pod.spec.containers if each.name == CONTAINER)
    amounts = (container.resources.requests or container.resources.limits or {}) if container.resources else {}
    return {name: parse_quantity(value) for name, value in amounts.items() if parse_quantity(value) > 0}


def _selector(pod: k8s.V1Pod) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted((pod.spec.node_selector or {}).items()))


def _words(asked: dict[str, Any]) -> str:
    return ", ".join(f"{name} {amount:f}" for name, amount in asked.items())
