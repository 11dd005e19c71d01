"""A step's pod, as the corpus YAML describes it: one plain function from configuration to a ``V1Pod``.

Importing this module takes the Kubernetes client (a second) with it: only what runs pods imports it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value
from kubernetes.client import models as k8s

from plugins.runtime.airflow import AIRFLOW, airflow_id
from plugins.runtime.pod_state import CONTAINER
from tasks.config import Corpus
from tasks.config.kubernetes import Kubernetes, Toleration, Volume
from tasks.config.quantity import cores
from tasks.config.spark import PART, POD_VARIABLE
from tasks.config.spark import STEPS as SPARK_STEPS
from tasks.errors import BadInput

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

CORPUS_VARIABLE = "NIGHTSHIFT_CORPUS_YAML"
RESULT_FILE = "/dev/termination-log"
"""What the container writes there is its termination message: a result that needs neither sidecar nor exec."""
SCRATCH = "/tmp"
INGEST_STEPS = frozenset({"crawl", "clean", "dedup", "split", "upload", "release", "filter", "stats", "extract"})
INGEST_GATES = frozenset({"raw", "clean", "splits"})
"""What runs in the pipeline's image. The id of a training is made of its libraries' versions too, so that everything
from the snapshot on runs in the trainer's."""
TRAINING_STEPS = frozenset({"train", "crossvalidate", "search"})
"""What takes GPUs."""
YAML_BYTES = 100_000
"""Linux takes no variable over 128 KiB."""
AFTERMATH = timedelta(minutes=5)
"""How much longer than its task a pod may live: only a pod that everybody forgot reaches this end."""
_NAME_LENGTH = 50


@dataclass(frozen=True)
class Identity:
    """The Airflow task that a pod works for."""

    dag_id: str
    task_id: str
    run_id: str
    try_number: int
    map_index: int = -1
    airflow: str = ""
    """Which Airflow: ``airflow_id``."""

    @classmethod
    def of(cls, context: Context) -> Identity:
        """The task that ``context`` is of."""
        ti = context["ti"]
        index = -1 if ti.map_index is None else ti.map_index
        return cls(ti.dag_id, ti.task_id, ti.run_id, ti.try_number, index, airflow_id())

    def labels(self) -> dict[str, str]:
        """To find the pod by, in the names and the spelling that KubernetesPodOperator looks for."""
        values = {"dag_id": self.dag_id, "task_id": self.task_id, "run_id": self.run_id}
        values |= {"try_number": str(self.try_number)} | (
            {"map_index": str(self.map_index)} if self.map_index >= 0 else {}
        )
        labels = {name: make_safe_label_value(value) for name, value in values.items()}
        return {**labels, AIRFLOW: self.airflow} if self.airflow else labels

    def annotations(self) -> dict[str, str]:
        """The same in full: a label may hold 63 characters, and no colon."""
        return {
            "nightshift/dag": self.dag_id,
            "nightshift/task": self.task_id,
            "nightshift/run": self.run_id,
            "nightshift/map-index": str(self.map_index),
            "nightshift/try": str(self.try_number),
        }


@dataclass(frozen=True)
class Group:
    """The gang that a pod is one of, as Kueue admits it: all at once."""

    name: str
    size: int


@dataclass(frozen=True)
class Work:
    """What a pod does: ``nightshift <arguments>``, for which task of Airflow."""

    step: str
    arguments: Sequence[str]
    identity: Identity
    label: str = ""
    """What tells pods of one step apart: a shard, a worker, the stage of a gate."""
    environment: Mapping[str, str] = field(default_factory=dict)
    group: Group | None = None


def pod_of(corpus: Corpus, text: str, work: Work) -> k8s.V1Pod:
    """The pod of one command; what it is made of beyond ``work`` is in ``corpus``, whose YAML is ``text``.

    It runs as nobody in particular: not as root, on a read-only root file system with a scratch folder, without
    capabilities, and without a token of the cluster, but for a step that starts executors of Spark. The caller adds
    what is the pod's own: an owner, a host name.

    Raises:
        BadInput: the corpus has no section ``kubernetes``, or is too long to travel.
    """
    settings = settings_of(corpus)
    if len(text.encode()) > YAML_BYTES:
        raise BadInput(
            f"the YAML of {corpus.corpus} has {len(text.encode())} bytes; what travels into a pod may have {YAML_BYTES}"
        )
    return k8s.V1Pod(
        api_version="v1",
        kind="Pod",
        metadata=k8s.V1ObjectMeta(
            name=pod_name(corpus.corpus, work),
            namespace=settings.namespace,
            labels=_labels(corpus, work),
            annotations=_annotations(corpus, work),
        ),
        spec=k8s.V1PodSpec(
            containers=[_container(corpus, text, work)],
            volumes=[_scratch(settings), *map(_volume, settings.volumes)],
            restart_policy="Never",
            active_deadline_seconds=int((corpus.resources.timeout + AFTERMATH).total_seconds()),
            termination_grace_period_seconds=int(settings.grace.total_seconds()),
            automount_service_account_token=drives_pods(corpus, work),
            enable_service_links=False,
            service_account_name=(
                corpus.spark.service_account if drives_pods(corpus, work) else settings.service_account
            ),
            node_selector=dict(settings.node_selector) or None,
            tolerations=[_toleration(each) for each in settings.tolerations] or None,
            priority_class_name=settings.priority_class,
            image_pull_secrets=[k8s.V1LocalObjectReference(name=each) for each in settings.image_pull_secrets] or None,
            security_context=k8s.V1PodSecurityContext(
                run_as_non_root=True, seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault")
            ),
        ),
    )


def settings_of(corpus: Corpus) -> Kubernetes:
    """The corpus' section ``kubernetes``.

    Raises:
        BadInput: it has none.
    """
    if corpus.kubernetes is None:
        raise BadInput(f"corpus {corpus.corpus}: pods need the section `kubernetes`, at least with their image")
    return corpus.kubernetes


def on_spark(corpus: Corpus, work: Work) -> bool:
    """Whether the command is one that Spark spreads out."""
    return corpus.engine == "spark" and work.step in SPARK_STEPS


def drives_pods(corpus: Corpus, work: Work) -> bool:
    """Whether the command starts pods itself: executors of Spark."""
    return on_spark(corpus, work) and corpus.spark.in_pods


def image_of(corpus: Corpus, work: Work) -> str:
    """The image that has what the command imports."""
    settings = settings_of(corpus)
    if on_spark(corpus, work) and corpus.spark.image:
        return corpus.spark.image
    ingest = work.step in INGEST_STEPS or (work.step == "gate" and work.label in INGEST_GATES)
    return settings.image if ingest else settings.trainer_image or settings.image


def pod_name(corpus: str, work: Work) -> str:
    """A name to read in ``kubectl get pods``; whoever makes the pod appends what makes it unique."""
    words = f"{corpus}-{work.step}-{work.label}".lower()
    return re.sub(r"[^a-z0-9]+", "-", words)[:_NAME_LENGTH].strip("-")


def _container(corpus: Corpus, text: str, work: Work) -> k8s.V1Container:
    settings = settings_of(corpus)
    return k8s.V1Container(
        name=CONTAINER,
        image=image_of(corpus, work),
        image_pull_policy=settings.image_pull_policy,
        args=list(work.arguments),
        env=[
            *(k8s.V1EnvVar(name=name, value=value) for name, value in _environment(corpus, text, work).items()),
            *(_own_name() if drives_pods(corpus, work) else ()),
        ],
        env_from=[k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=settings.env_secret))],
        resources=_resources(corpus, work.step),
        volume_mounts=[
            k8s.V1VolumeMount(name="scratch", mount_path=SCRATCH),
            *(
                k8s.V1VolumeMount(
                    name=each.name, mount_path=each.mount, sub_path=each.sub_path, read_only=each.read_only
                )
                for each in settings.volumes
            ),
        ],
        security_context=k8s.V1SecurityContext(
            allow_privilege_escalation=False,
            privileged=False,
            read_only_root_filesystem=True,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
        ),
        termination_message_path=RESULT_FILE,
        # A container that dies without a word leaves the end of its log instead.
        termination_message_policy="FallbackToLogsOnError",
    )


def _environment(corpus: Corpus, text: str, work: Work) -> dict[str, str]:
    # A library that asks the machine how many cores it has is told those of the node.
    threads = str(max(1, int(cores(corpus.resources.cpu))))
    return {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "HOME": SCRATCH,
        "TMPDIR": SCRATCH,
        "PYTHONUNBUFFERED": "1",
        **settings_of(corpus).env,
        **work.environment,
        "NIGHTSHIFT_RESULT_FILE": RESULT_FILE,
        CORPUS_VARIABLE: text,
    }


def _own_name() -> list[k8s.V1EnvVar]:
    name = k8s.V1EnvVarSource(field_ref=k8s.V1ObjectFieldSelector(field_path="metadata.name"))
    return [k8s.V1EnvVar(name=POD_VARIABLE, value_from=name)]


def _resources(corpus: Corpus, step: str) -> k8s.V1ResourceRequirements:
    # Requests and limits alike: such a pod is the last to be evicted, and a quota counts what it really takes.
    amounts = {"cpu": corpus.resources.cpu, "memory": corpus.resources.memory}
    if corpus.resources.gpus and step in TRAINING_STEPS:
        amounts[settings_of(corpus).gpu_resource] = str(corpus.resources.gpus)
    return k8s.V1ResourceRequirements(requests=dict(amounts), limits=dict(amounts))


def _labels(corpus: Corpus, work: Work) -> dict[str, str]:
    settings = settings_of(corpus)
    labels = {
        **settings.labels,
        "app.kubernetes.io/name": "nightshift",
        "app.kubernetes.io/component": make_safe_label_value(work.step),
        "nightshift/corpus": make_safe_label_value(corpus.corpus),
        **work.identity.labels(),
    }
    if drives_pods(corpus, work):
        labels[PART] = "driver"
    if settings.queue:
        labels["kueue.x-k8s.io/queue-name"] = settings.queue
        if work.group and settings.pod_group:
            labels["kueue.x-k8s.io/pod-group-name"] = work.group.name
    return labels


def _annotations(corpus: Corpus, work: Work) -> dict[str, str]:
    settings = settings_of(corpus)
    annotations = {**settings.annotations, **work.identity.annotations()}
    if settings.queue and work.group and settings.pod_group:
        annotations["kueue.x-k8s.io/pod-group-total-count"] = str(work.group.size)
    return annotations


def _scratch(settings: Kubernetes) -> k8s.V1Volume:
    return k8s.V1Volume(name="scratch", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit=str(settings.scratch)))


def _volume(volume: Volume) -> k8s.V1Volume:
    made = k8s.V1Volume(name=volume.name)
    if volume.claim:
        made.persistent_volume_claim = k8s.V1PersistentVolumeClaimVolumeSource(
            claim_name=volume.claim, read_only=volume.read_only
        )
    elif volume.config_map:
        made.config_map = k8s.V1ConfigMapVolumeSource(name=volume.config_map)
    elif volume.secret:
        made.secret = k8s.V1SecretVolumeSource(secret_name=volume.secret)
    else:
        made.host_path = k8s.V1HostPathVolumeSource(path=volume.host_path)
    return made


def _toleration(toleration: Toleration) -> k8s.V1Toleration:
    return k8s.V1Toleration(
        key=toleration.key, operator=toleration.operator, value=toleration.value, effect=toleration.effect
    )
