"""Where steps of `engine: spark` run."""

from __future__ import annotations

import re

from pydantic import Field, ValidationInfo, field_validator

from tasks.config.kubernetes import Image, Kubernetes, ObjectName
from tasks.config.quantity import cores
from tasks.section import Section

STEPS = frozenset({"clean", "dedup", "prepare"})
"""What `engine: spark` spreads out; each is one task, and one Spark application."""
POD_VARIABLE = "NIGHTSHIFT_POD"
"""The name of a step's own pod, in it: its executors belong to it, and go when it goes."""
PART = "nightshift/spark"
"""The label of such a step's pod, ``driver``, and of its executors, ``executor``: who calls whom."""
_LOCAL = r"local(\[(\*|[1-9]\d*)(,[1-9]\d*)?\])?|local-cluster\[\d+,\d+,\d+\]"
_CLUSTER = r"k8s://https?://([^\s/:@?#\[\]]+|\[[\da-fA-F:.]+\])(:\d{1,5})?(/[^\s?#]*)?"
_MASTER = re.compile(rf"{_LOCAL}|yarn|spark://\S+|{_CLUSTER}")
_NAME = re.compile(r"spark(\.[\w/-]+)+")
_SECRET = re.compile(
    r"secret|password|passwd|token|credential|private|(access|account|api).?key|([._-]|^)(key|sas)([._-]|$)",
    re.IGNORECASE,
)
_REFERENCE = re.compile(
    r"spark\.kubernetes\.(driver|executor)\.(secretKeyRef|secrets)\..+"
    r"|.*(File|\.file|_FILE|\.provider(\.(uri|path))?|\.name|\.itemKey|Ratio)"
)
"""Settings that name where a secret is, or say how one is come by."""
_JAVA_PROPERTY = re.compile(r"-D([^\s=]+)=(\S*)")
_ADDED = re.compile(r"spark\.kubernetes\.executor\.(label|annotation)\.(.+)")
_OUR_KEYS = re.compile(r"app\.kubernetes\.io/(name|component)|(nightshift|kueue\.x-k8s\.io)/.*")
_OURS = {
    "spark.master": "spark.master",
    "spark.app.name": "the step and the corpus",
    "spark.submit.deployMode": "client: the step is the driver",
    "spark.kubernetes.namespace": "kubernetes.namespace",
    "spark.kubernetes.container.image": "spark.image",
    "spark.kubernetes.executor.container.image": "spark.image",
    "spark.kubernetes.container.image.pullPolicy": "kubernetes.image_pull_policy",
    "spark.kubernetes.container.image.pullSecrets": "kubernetes.image_pull_secrets",
    "spark.kubernetes.authenticate.executor.serviceAccountName": "kubernetes.service_account",
    "spark.kubernetes.authenticate.driver.serviceAccountName": "spark.service_account",
    "spark.kubernetes.driver.pod.name": "the step's own pod",
    "spark.kubernetes.executor.podTemplateFile": "the section kubernetes",
    "spark.kubernetes.executor.podTemplateContainerName": "the one container that the section kubernetes describes",
    "spark.kubernetes.executor.disableConfigMap": "true: a step may make pods and nothing else",
    "spark.kubernetes.context": "the current context of KUBECONFIG",
}
_OURS_IN_PODS = {
    "spark.authenticate": "true: whoever reaches the driver could have it run anything",
    "spark.network.crypto.enabled": "true: rows and that secret cross the cluster's network",
}


class Spark(Section):
    """The Spark application of each such step: cleaning, signatures of near-duplicates, vocabulary counts."""

    master: str = Field("local[*]", description="as spark-submit takes it, as in k8s://https://host:6443")
    image: Image | None = Field(
        None,
        description="of these steps' pods and of the executors, as `make images IMAGES=spark` builds it from "
        "containers/spark; needed wherever there are pods",
    )
    service_account: ObjectName | None = Field(
        None,
        description="of these steps' own pods, which start and end executors: the one account that gets a token; the "
        "executors have `kubernetes.service_account`",
    )
    settings: dict[str, str] = Field(
        {}, description="further Spark settings by name, as spark.executor.instances; none of them secret"
    )

    @property
    def in_pods(self) -> bool:
        """Whether executors are pods."""
        return self.master.startswith("k8s://")

    @field_validator("master")
    @classmethod
    def _a_master(cls, value: str) -> str:
        if not _MASTER.fullmatch(value):
            raise ValueError(
                "expected local[2], local[*], spark://host:7077, yarn, or k8s://https://host:6443 (with https://)"
            )
        return value

    @field_validator("settings")
    @classmethod
    def _settings_of_sparks_own(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        pods = str(info.data.get("master", "")).startswith("k8s://")
        ours = _OURS | _OURS_IN_PODS if pods else _OURS
        for name, given in value.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no setting of Spark's: they begin with spark.")
            if name in ours:
                raise ValueError(f"{name} is set by Nightshift: it is {ours[name]}")
            if (added := _ADDED.fullmatch(name)) and _OUR_KEYS.fullmatch(added[2]):
                raise ValueError(
                    f"{name} is set by Nightshift: a queue is kubernetes.queue, and {added[1]}s of your own have other "
                    "keys"
                )
            _require_no_secret(name, given)
            _require_cores(name, given)
        return value

    def require_agreement(self, pods: Kubernetes) -> None:
        """Refuse settings that say of executors' pods something else than the section kubernetes.

        Raises:
            ValueError: one does.
        """
        for part, prefixes in {
            "labels": ("spark.kubernetes.executor.label.",),
            "annotations": ("spark.kubernetes.executor.annotation.",),
            "env": ("spark.executorEnv.",),
            "node_selector": ("spark.kubernetes.node.selector.", "spark.kubernetes.executor.node.selector."),
        }.items():
            for key in getattr(pods, part):
                for prefix in prefixes:
                    if prefix + key in self.settings:
                        raise ValueError(
                            f"spark.settings: {prefix}{key}: kubernetes.{part} has {key} for all pods, executors too: "
                            "leave one of them out"
                        )


def _require_no_secret(name: str, given: str) -> None:
    pairs = [(name, given)]
    if name.endswith("JavaOptions"):
        pairs += _JAVA_PROPERTY.findall(given)
    for key, value in pairs:
        if _SECRET.search(key) and not _REFERENCE.fullmatch(key) and value not in ("true", "false"):
            where = "" if key == name else f" in {name}"
            raise ValueError(
                f"{key}{where} looks like a secret, and settings are for everybody to see who sees a process or a pod: "
                "executors in pods have the Secret that kubernetes.env_secret names, others their own environment"
            )


def _require_cores(name: str, given: str) -> None:
    if name == "spark.executor.cores" and not re.fullmatch(r"[1-9]\d{0,3}", given):
        raise ValueError(f"{name}: {given!r}: expected a whole number above 0, as in 4")
    if re.fullmatch(r"spark\.kubernetes\.executor\.(request|limit)\.cores", name):
        try:
            amount = cores(given)
        except ValueError as error:
            raise ValueError(f"{name}: {given!r}: {error}, as in 2, 0.5 or 500m") from error
        if amount <= 0:
            raise ValueError(f"{name}: {given!r}: expected cores above 0, as in 2, 0.5 or 500m")
