"""Where steps of `engine: spark` run."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from tasks.config.kubernetes import Image, ObjectName
from tasks.section import Section

STEPS = frozenset({"clean", "dedup", "prepare"})
"""What `engine: spark` spreads out; each is one task, and one Spark application."""
POD_VARIABLE = "NIGHTSHIFT_POD"
"""The name of a step's own pod, in it: its executors belong to it, and go when it goes."""
PART = "nightshift/spark"
"""The label of such a step's pod, ``driver``, and of its executors, ``executor``: who calls whom."""
_MASTER = re.compile(r"local(\[[\w*,]+\])?|local-cluster\[[\d,]+\]|yarn|spark://\S+|k8s://https?://[^\s/:]+(:\d+)?/?")
_NAME = re.compile(r"spark(\.[\w/-]+)+")
_SECRET = re.compile(r"secret|password|passwd|token|credential|access.?key", re.IGNORECASE)
_REFERENCE = re.compile(r"\.secretKeyRef\.|\.secrets\.|file$", re.IGNORECASE)
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
    "spark.kubernetes.driver.pod.name": "the step's own pod",
    "spark.kubernetes.executor.podTemplateFile": "the section kubernetes",
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
    def _settings_of_sparks_own(cls, value: dict[str, str]) -> dict[str, str]:
        for name, given in value.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no setting of Spark's: they begin with spark.")
            if name in _OURS:
                raise ValueError(f"{name} is set by Nightshift: it is {_OURS[name]}")
            if _SECRET.search(name) and not _REFERENCE.search(name) and given not in ("true", "false"):
                raise ValueError(
                    f"{name} looks like a secret, and settings are for everybody to see who sees a process or a pod: "
                    "executors in pods have the Secret that kubernetes.env_secret names, others their own environment"
                )
        return value
