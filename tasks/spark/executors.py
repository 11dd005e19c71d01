"""Executors as pods: the settings and the template by which Spark makes them."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.config import Corpus
from tasks.config.kubernetes import Kubernetes, Volume
from tasks.config.quantity import cores as cores_of
from tasks.config.spark import PART, POD_VARIABLE
from tasks.errors import BadInput

DRIVER_PORT, BLOCKS_PORT = 7078, 7079
"""Where a step's pod is called by its executors, and where all of them call each other for rows."""
_SCRATCH = "/tmp"
_ROWS = "/var/spark"
_RUNTIME = 512
"""MiB that Python takes in a pod before it parses a page."""


def settings_of(corpus: Corpus, step: str, environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What a session on Kubernetes is made with; the template of its executors' pods is written to ``folder``.

    Raises:
        BadInput: the corpus says nothing of pods.
    """
    pods, spark = corpus.kubernetes, corpus.spark
    if pods is None or spark.image is None:
        raise BadInput(f"corpus {corpus.corpus}: executors in pods need the section `kubernetes`, and spark.image")
    template = folder / "executor.json"
    template.write_text(json.dumps(template_of(corpus, pods)))
    given = spark.settings
    count, cores = given.get("spark.executor.instances", "2"), given.get("spark.executor.cores", "1")
    most = given.get("spark.dynamicAllocation.maxExecutors", count)
    settings = {
        "spark.kubernetes.namespace": pods.namespace,
        "spark.kubernetes.container.image": spark.image,
        "spark.kubernetes.container.image.pullPolicy": pods.image_pull_policy,
        "spark.kubernetes.executor.podTemplateFile": str(template),
        "spark.kubernetes.executor.podNamePrefix": _prefix(f"{corpus.corpus}-{step}"),
        # Pods are all that is made: what executors are to know comes by the template and by the driver.
        "spark.kubernetes.executor.disableConfigMap": "true",
        "spark.kubernetes.driver.service.deleteOnTermination": "false",
        "spark.kubernetes.driver.ownPersistentVolumeClaim": "false",
        "spark.kubernetes.driver.reusePersistentVolumeClaim": "false",
        "spark.kubernetes.executor.volumes.emptyDir.spark-local-dir-1.mount.path": _ROWS,
        "spark.kubernetes.executor.volumes.emptyDir.spark-local-dir-1.options.sizeLimit": str(pods.scratch),
        "spark.executor.instances": count,
        "spark.executor.cores": cores,
        # A quota counts limits. Where less is asked for than there are slots, the rest is there to be used.
        "spark.kubernetes.executor.limit.cores": max(
            cores, given.get("spark.kubernetes.executor.request.cores", "0"), key=cores_of
        ),
        "spark.executor.memoryOverhead": f"{_RUNTIME + _whole(cores) * (corpus.clean.document_memory >> 20)}m",
        # Said here, or it would be those that happen to have come by now.
        "spark.default.parallelism": str(max(2, _whole(most) * _whole(cores))),
        # Whoever reaches the driver's port could have it run anything.
        "spark.authenticate": "true",
        "spark.network.crypto.enabled": "true",
        "spark.driver.host": given.get("spark.driver.host") or _address(spark.master),
        "spark.driver.bindAddress": "0.0.0.0",
        "spark.kubernetes.executor.useDriverPodIP": "false",  # it would be the one above
        "spark.blockManager.port": str(BLOCKS_PORT),
    }
    if pods.image_pull_secrets:
        settings["spark.kubernetes.container.image.pullSecrets"] = ",".join(pods.image_pull_secrets)
    if pods.service_account:
        settings["spark.kubernetes.authenticate.executor.serviceAccountName"] = pods.service_account
    if own := environment.get(POD_VARIABLE):
        settings |= {
            "spark.kubernetes.driver.pod.name": own,
            "spark.driver.port": str(DRIVER_PORT),
            "spark.driver.blockManager.port": str(BLOCKS_PORT),
        }
    else:
        settings["spark.driver.blockManager.port"] = "0"
    return settings


def template_of(corpus: Corpus, pods: Kubernetes) -> dict[str, Any]:
    """What Spark leaves open of an executor's pod: whatever keeps it from doing more than a step's pod may."""
    labels = {
        **pods.labels,
        "app.kubernetes.io/name": "nightshift",
        "app.kubernetes.io/component": "executor",
        "nightshift/corpus": corpus.corpus.rstrip("_"),
        PART: "executor",
    }
    if pods.queue:
        labels["kueue.x-k8s.io/queue-name"] = pods.queue
    environment = {"HOME": _SCRATCH, "TMPDIR": _SCRATCH, **pods.env}
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": int(pods.grace.total_seconds()),
        "nodeSelector": dict(pods.node_selector),
        "tolerations": [each.model_dump(exclude_none=True) for each in pods.tolerations],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "executor",
                "env": [{"name": name, "value": value} for name, value in environment.items()],
                "envFrom": [{"secretRef": {"name": pods.env_secret}}],
                "volumeMounts": [
                    {"name": "scratch", "mountPath": _SCRATCH},
                    *(_mount(each) for each in pods.volumes),
                ],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "privileged": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": str(pods.scratch)}},
            *({"name": each.name, **_source(each)} for each in pods.volumes),
        ],
    }
    if pods.priority_class:
        spec["priorityClassName"] = pods.priority_class
    metadata = {"labels": labels, "annotations": dict(pods.annotations)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _mount(volume: Volume) -> dict[str, Any]:
    made = {"name": volume.name, "mountPath": volume.mount, "readOnly": volume.read_only}
    return {**made, "subPath": volume.sub_path} if volume.sub_path else made


def _source(volume: Volume) -> dict[str, Any]:
    if volume.claim:
        return {"persistentVolumeClaim": {"claimName": volume.claim, "readOnly": volume.read_only}}
    if volume.config_map:
        return {"configMap": {"name": volume.config_map}}
    if volume.secret:
        return {"secret": {"secretName": volume.secret}}
    return {"hostPath": {"path": volume.host_path}}


def _prefix(words: str) -> str:
    # Spark appends -exec-<number>, and names of pods are names of hosts.
    return f"{re.sub(r'[^a-z0-9]+', '-', words)[:26].strip('-')}-{uuid.uuid4().hex[:8]}"


def _whole(number: str) -> int:
    return int(number) if number.isdecimal() else 1


def _address(master: str) -> str:
    """The address of this machine, or pod, on its way to the cluster: executors reach the driver there."""
    try:
        url = urlsplit(master.removeprefix("k8s://"))
        found = socket.getaddrinfo(url.hostname, url.port or 443, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as way:
            way.connect(address)  # of UDP: nothing is sent
            own = str(way.getsockname()[0])
    except (OSError, ValueError) as error:
        raise BadInput(f"spark.master: {master}: there is no way to it from here: {error}") from error
    if ipaddress.ip_address(own).is_loopback:
        raise BadInput(
            f"spark.master: {master} is this machine itself, so how pods reach it is not known: name one of its "
            "addresses in spark.settings, as spark.driver.host"
        )
    return f"[{own}]" if ":" in own else own
