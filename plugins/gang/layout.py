"""What a gang is made of in Kubernetes: one headless Service, which owns one pod for each worker.

Deleting the Service deletes everything. Each start of a gang (each try of its Airflow task) is a generation with a
Service of its own, so that no worker ever talks to one of an earlier start.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubernetes.client import models as k8s

from plugins.runtime.airflow import AIRFLOW
from plugins.runtime.pod_state import CONTAINER

PORT = 7000
"""The supervisors' port; TensorFlow takes the next one."""
GANG = "nightshift/gang"
WORKER = "nightshift/worker"
SPEC = "nightshift/spec"
"""Digest of what the workers run: a gang of an older configuration is not taken up again."""
_NAME_LENGTH = 40


@dataclass(frozen=True)
class Layout:
    """One generation of a gang."""

    name: str
    """Of the Service; the pods are ``<name>-<i>``."""
    namespace: str
    workers: int
    generation: str
    owner: str = ""
    """The Service's uid, once there is one."""

    @classmethod
    def new(cls, corpus: str, namespace: str, workers: int) -> Layout:
        """A generation that there never was."""
        generation = secrets.token_hex(5)
        stem = re.sub(r"[^a-z0-9]+", "-", corpus.lower())[:_NAME_LENGTH].strip("-")
        return cls(f"{stem}-train-{generation}", namespace, workers, generation)

    @classmethod
    def named(cls, name: str, namespace: str, workers: int, owner: str = "") -> Layout:
        """The generation whose Service has this name."""
        return cls(name, namespace, workers, name.rpartition("-")[2], owner)

    @property
    def selector(self) -> str:
        """Finds the pods."""
        return f"{GANG}={self.name}"

    @property
    def peers(self) -> str:
        """``host:port`` of every worker, as ``--peers`` takes them: names that every cluster domain resolves."""
        return ",".join(f"worker-{i}.{self.name}.{self.namespace}.svc:{PORT}" for i in range(self.workers))

    def pod_name(self, worker: int) -> str:
        return f"{self.name}-{worker}"

    def arguments(self, common: Sequence[str], worker: int) -> list[str]:
        """The command line of one worker; ``common`` is what it shares with the local twin."""
        return [
            *common,
            f"--worker={worker}/{self.workers}",
            f"--peers={self.peers}",
            f"--generation={self.generation}",
        ]


@dataclass(frozen=True)
class Marks:
    """By what a gang is found again."""

    labels: Mapping[str, str]
    """The Airflow task, in the spelling of labels, without its try."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """The same in full."""
    airflow: str = ""
    spec: str = ""

    @property
    def selector(self) -> str:
        """Finds the Services of every generation of this task."""
        labels = {**self.labels, AIRFLOW: self.airflow}
        return ",".join([GANG, *(f"{name}={value}" for name, value in sorted(labels.items()))])


def service_of(layout: Layout, marks: Marks) -> k8s.V1Service:
    """The Service that gives the workers their names, from before they are ready, and owns their pods."""
    return k8s.V1Service(
        api_version="v1",
        kind="Service",
        metadata=k8s.V1ObjectMeta(
            name=layout.name,
            namespace=layout.namespace,
            labels={
                "app.kubernetes.io/name": "nightshift",
                "app.kubernetes.io/component": "train",
                **marks.labels,
                GANG: layout.name,
                AIRFLOW: marks.airflow,
            },
            annotations={**marks.annotations, SPEC: marks.spec, "nightshift/workers": str(layout.workers)},
        ),
        spec=k8s.V1ServiceSpec(
            cluster_ip="None",
            publish_not_ready_addresses=True,
            selector={GANG: layout.name},
            ports=[k8s.V1ServicePort(name="supervisor", port=PORT), k8s.V1ServicePort(name="training", port=PORT + 1)],
        ),
    )


def layout_of(service: k8s.V1Service) -> Layout:
    """The generation that a Service stands for."""
    meta = service.metadata
    workers = int((meta.annotations or {}).get("nightshift/workers") or 0)
    return Layout.named(meta.name, meta.namespace, workers, meta.uid)


def pod_of_worker(layout: Layout, template: k8s.V1Pod, common: Sequence[str], worker: int) -> k8s.V1Pod:
    """The pod of one worker: ``template`` with its own name, host name, command line and owner."""
    pod = copy.deepcopy(template)
    pod.metadata.name = layout.pod_name(worker)
    pod.metadata.namespace = layout.namespace
    pod.metadata.labels = {**(pod.metadata.labels or {}), GANG: layout.name, WORKER: str(worker)}
    pod.metadata.owner_references = [
        k8s.V1OwnerReference(api_version="v1", kind="Service", name=layout.name, uid=layout.owner)
    ]
    pod.spec.hostname = f"worker-{worker}"
    pod.spec.subdomain = layout.name
    (container,) = (each for each in pod.spec.containers if each.name == CONTAINER)
    container.args = layout.arguments(common, worker)
    return pod


def spec_digest(template: Any, common: Sequence[str], workers: int) -> str:
    """Of what the workers run: pod spec, command and number; names, labels and Airflow's try left out."""
    value = {"spec": template.spec.to_dict(), "command": list(common), "workers": workers}
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
