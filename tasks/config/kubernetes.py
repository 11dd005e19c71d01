"""Where and how pods run, for a corpus with ``runtime: kubernetes``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from tasks.section import Bytes, Duration, Section

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KEY = re.compile(r"(?:(?P<prefix>[^/]+)/)?(?P<name>[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_IMAGE = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9._/:@]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|PRIVATE|KEY", re.IGNORECASE)
GANG_GRACE = timedelta(seconds=60)
"""What a worker that is told to leave may take for its checkpoint and for the others to learn of it (``Timing``)."""
_OURS = ("nightshift/", "kueue.x-k8s.io/", "airflow")


def _object_name(value: str) -> str:
    if len(value) > 253 or not _NAME.fullmatch(value):
        raise ValueError("not a Kubernetes name: expected small letters, digits, - and .")
    return value


def _image(value: str) -> str:
    if not _IMAGE.fullmatch(value):
        raise ValueError("not an image: expected a name as in registry.example.org/team/nightshift:1.4")
    return value


def _labels(value: dict[str, str]) -> dict[str, str]:
    for key, label in value.items():
        _check_key(key)
        if not _VALUE.fullmatch(label):
            raise ValueError(f"{key}: {label!r}: expected at most 63 letters, digits, -, _ and .")
    return value


def _check_key(key: str) -> None:
    match = _KEY.fullmatch(key)
    if not match or (match["prefix"] and not _NAME.fullmatch(match["prefix"])):
        raise ValueError(f"{key!r} is not a key of Kubernetes: expected name, or domain/name")


ObjectName = Annotated[str, AfterValidator(_object_name)]
Image = Annotated[str, AfterValidator(_image)]
Labels = Annotated[dict[str, str], AfterValidator(_labels)]


class Toleration(Section):
    """A taint of nodes that the pods put up with."""

    key: str | None = Field(None, description="the taint's key; any by default")
    operator: Literal["Equal", "Exists"] = Field("Equal", description="Exists takes any value")
    value: str | None = Field(None, description="the taint's value")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(None, description="any by default")

    @model_validator(mode="after")
    def _as_the_cluster_wants_it(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator Exists takes no value")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("give a key, or operator: Exists for every taint")
        return self


class Volume(Section):
    """What is mounted into every pod; exactly one of claim, config_map, secret and host_path."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="a name within the pod")
    mount: str = Field(pattern=r"^/[^:]+$", description="the folder in the container")
    sub_path: str | None = Field(None, description="a folder within the volume")
    read_only: bool = Field(True, description="whether pods may not write")
    claim: ObjectName | None = Field(None, description="a PersistentVolumeClaim")
    config_map: ObjectName | None = Field(None, description="a ConfigMap, one file a key")
    secret: ObjectName | None = Field(None, description="a Secret, one file a key")
    host_path: str | None = Field(None, pattern=r"^/", description="a folder of the node")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(each is not None for each in (self.claim, self.config_map, self.secret, self.host_path)) != 1:
            raise ValueError(f"volume {self.name}: give one of claim, config_map, secret and host_path")
        return self


class Kubernetes(Section):
    """Pods: where they run and what they may use. How much is in ``resources``."""

    namespace: ObjectName = Field("nightshift", description="where the pods are made")
    image: Image = Field(description="of the steps of an ingest, as `make images` builds it from containers/pipeline")
    trainer_image: Image | None = Field(
        None, description="of everything from the snapshot on, from containers/trainer; `image` by default"
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="give images a tag of their own, and a node pulls each once"
    )
    image_pull_secrets: tuple[ObjectName, ...] = Field((), description="Secrets for a private registry")
    service_account: ObjectName | None = Field(
        None, description="of the pods, which never get its token; the namespace's default by default"
    )
    env_secret: ObjectName = Field(
        "nightshift-store",
        description="the Secret whose keys are the pods' settings: NIGHTSHIFT_STORE, AWS_…, MLFLOW_…",
    )
    env: dict[str, str] = Field(default_factory=dict, description="further variables of the pods, none of them secret")
    node_selector: Labels = Field(default_factory=dict, description="labels that a node must have")
    tolerations: tuple[Toleration, ...] = Field((), description="taints that the pods put up with")
    priority_class: ObjectName | None = Field(None, description="a PriorityClass")
    volumes: tuple[Volume, ...] = Field((), description="what is mounted into every pod")
    labels: Labels = Field(default_factory=dict, description="further labels of the pods")
    annotations: dict[str, str] = Field(default_factory=dict, description="further annotations of the pods")
    queue: ObjectName | None = Field(None, description="the Kueue LocalQueue that admits the pods; none by default")
    pod_group: bool = Field(True, description="with a queue: whether a gang is admitted all at once or not at all")
    start_timeout: Duration = Field(  # type: ignore[assignment]
        "10m", description="a pod that does not run so long after it was made fails its task, with the reason"
    )
    grace: Duration = Field(  # type: ignore[assignment]
        "60s",
        description="between SIGTERM and SIGKILL of a pod; at least 60s where workers train together, who leave with a "
        "checkpoint",
    )
    scratch: Bytes = Field("10GiB", gt=0, description="what a pod may write below /tmp, its only folder to write to")  # type: ignore[assignment]
    elastic: bool = Field(
        False,
        description="whether nodes are added when pods ask for them; without it, a gang that the nodes there are could "
        "never hold is refused before any pod starts",
    )
    gpu_resource: str = Field("nvidia.com/gpu", description="what the cluster calls a GPU")
    connection: str | None = Field(
        None, description="the Airflow connection to the cluster; by default the pod's own rights, or KUBECONFIG"
    )
    in_cluster: bool | None = Field(
        None, description="whether Airflow's own pod reaches the cluster; found out by default"
    )
    config_file: str | None = Field(None, description="a kubeconfig on Airflow's workers")
    context: str | None = Field(None, description="the context in it")

    @field_validator("env")
    @classmethod
    def _no_secrets_in_the_open(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a variable")
            if _SECRET.search(name):
                raise ValueError(
                    f"{name} looks like a secret, and anybody who may list pods can read it here: put it "
                    "into the Secret that env_secret names"
                )
        return value

    @field_validator("labels", "annotations")
    @classmethod
    def _not_ours(cls, value: dict[str, str]) -> dict[str, str]:
        for key in value:
            _check_key(key)
            if key.startswith(_OURS):
                raise ValueError(f"{key} is set by Nightshift itself")
        return value

    @field_validator("volumes")
    @classmethod
    def _named_once(cls, value: tuple[Volume, ...]) -> tuple[Volume, ...]:
        names = [volume.name for volume in value]
        if twice := {name for name in names if names.count(name) > 1 or name == "scratch"}:
            raise ValueError(f"volumes need names of their own, and scratch is /tmp: {', '.join(sorted(twice))}")
        return value

    def require_time_to_leave(self) -> None:
        """Refuse a grace under what a worker that trains with others may need.

        Raises:
            ValueError: it is shorter.
        """
        if self.grace < GANG_GRACE:
            raise ValueError(
                f"kubernetes.grace: {self.grace.total_seconds():g} s, and a worker of a gang that is evicted may need "
                f"{GANG_GRACE.total_seconds():g} s for its checkpoint: killed before, the gang loses what it did since "
                "the last one"
            )
