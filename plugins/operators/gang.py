"""A gang of training pods as one Airflow task."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kubernetes.client import models as k8s

from plugins.gang import cluster
from plugins.gang.ends import cause_of, late, result_of
from plugins.gang.layout import SPEC, Layout, Marks, layout_of, spec_digest
from plugins.gang.room import require_room
from plugins.gang.trigger import GangTrigger
from plugins.operators.in_cluster import ClusterStep
from plugins.runtime.airflow import airflow_id
from plugins.runtime.connection import connection_of
from plugins.runtime.pods import CORPUS_VARIABLE, Group, Identity, Work, pod_of
from tasks.config import Corpus
from tasks.config.kubernetes import Kubernetes
from tasks.errors import NightshiftError

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

RECHECK = timedelta(minutes=2)
"""How much later than the trigger Airflow itself gives up on it."""


class TrainingGangOperator(ClusterStep):
    """Runs ``nightshift train`` as one pod for each worker, and hands on the URL of the manifest it committed.

    All pods are one generation: a headless Service owns them, the first that fails ends all, and a retry of the task is
    a generation of its own. While they train the task is deferred: it holds no worker of Airflow's, but ``workers``
    slots of its pool where that counts deferred tasks. Whatever restarts (scheduler, triggerer, worker), the next try
    takes up the generation that still runs. However the task ends, it leaves no pod; the reaper
    (``plugins.reaper``) sees to what a dead Airflow could not.

    The local twin is ``StepOperator`` with the same arguments but ``workers``, which it reads from the YAML.

    :param workers: how many pods; the task takes as many slots of its pool.
    """

    def __init__(self, *, workers: int, logging_interval: int = 5, **kwargs: Any) -> None:
        super().__init__(
            **{"pool_slots": workers, **kwargs},
            deferrable=True,
            do_xcom_push=True,
            logging_interval=logging_interval,
            # KubernetesPodOperator's own default would take a killed worker's last words.
            termination_message_policy="FallbackToLogsOnError",
        )
        self.workers = workers
        self._layout: Layout | None = None

    def execute(self, context: Context) -> None:
        """Start the gang, or find the one that runs; then wait for its end in the triggerer.

        Raises:
            BadInput: the configuration, or the cluster, cannot hold such a gang.
        """
        corpus, settings, text = self._load()
        common = self.command_line(f"env:{CORPUS_VARIABLE}")
        layout = Layout.new(corpus.corpus, settings.namespace, self.workers)
        template = self._template(context, corpus, text, Group(layout.name, self.workers))
        marks = self._marks(context, spec_digest(template, common, self.workers))
        self._layout = self._running(settings.namespace, marks)
        if self._layout is None:
            require_room(self.client, template, self.workers, elastic=settings.elastic)
            self._layout = layout  # for on_kill, from before the first object exists
            self._layout = cluster.create(self.client, layout, marks, template, common)
            self.log.info("started %s workers: generation %s", self.workers, self._layout.generation)
        self._wait(context, settings, self._layout)

    def gang_ended(self, context: Context, gang: Mapping[str, Any], event: Mapping[str, Any]) -> str | list[str]:
        """What the trigger comes back to.

        Raises:
            NightshiftError: the workers did not end well; of the type of the cause.
        """
        _, settings, _ = self._load()
        self._layout = layout = Layout.named(**gang)
        try:
            members = cluster.members(self.client, layout)
            if result := result_of(members):
                if left := [member.worker for member in members if not member.ended_well]:
                    self.log.warning("the result is committed; workers %s did not end well after that", left)
                self.log.info("%s: %s", self.step, result.get("message") or "done")
                return self.returned(result, context)
            if event["status"] == "timeout":
                raise NightshiftError(f"{self.step}: not done after resources.timeout ({self.execution_timeout})")
            if any(member.failed for member in members):
                raise cause_of(members, step=self.step)
            if event["status"] == "late":
                raise late(members, settings.start_timeout.total_seconds())
            raise NightshiftError(f"{self.step} ended well but left no result: is the image one of this release?")
        finally:
            self._remove()

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As Airflow's, but a trigger that Airflow gave up on leaves no pod either."""
        if next_method != self.gang_ended.__name__:
            self._load()
            for service in self._generations(context):
                cluster.delete_service(self.client, service)
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """End the gang; called when the task is marked failed, cleared or times out while it is not deferred."""
        self._remove()

    def _template(self, context: Context, corpus: Corpus, text: str, group: Group) -> k8s.V1Pod:
        """What all pods have in common, as the YAML, KubernetesPodOperator and the deployment's policies make it."""
        work = Work(step=self.step, arguments=(), identity=Identity.of(context), group=group)
        self.full_pod_spec = pod_of(corpus, text, work)
        self.random_name_suffix = False
        self.do_xcom_push = False  # a sidecar; the result is the termination message
        try:
            return self.build_pod_request_obj(context)
        finally:
            self.do_xcom_push = True

    def _marks(self, context: Context, spec: str = "") -> Marks:
        identity = Identity.of(context)
        labels = {name: value for name, value in identity.labels().items() if name != "try_number"}
        return Marks(labels, identity.annotations(), airflow_id(), spec)

    def _generations(self, context: Context) -> list[k8s.V1Service]:
        _, settings, _ = self._load()
        return cluster.generations(self.client, settings.namespace, self._marks(context).selector)

    def _running(self, namespace: str, marks: Marks) -> Layout | None:
        """The generation of an earlier start of this task that is worth taking up; every other one is removed."""
        found = None
        for service in cluster.generations(self.client, namespace, marks.selector):
            layout, notes = layout_of(service), service.metadata.annotations or {}
            same = notes.get(SPEC) == marks.spec and all(notes.get(k) == v for k, v in _task(marks.annotations))
            if found is None and same and not any(each.failed for each in cluster.members(self.client, layout)):
                self.log.info("taking up generation %s, which is still there", layout.generation)
                found = layout
                continue
            self.log.info("removing generation %s of an earlier try", layout.generation)
            cluster.delete(self.client, layout)
        return found

    def _wait(self, context: Context, settings: Kubernetes, layout: Layout) -> None:
        deadline = None
        if self.execution_timeout is not None:
            deadline = (context["ti"].start_date + self.execution_timeout).timestamp()
        self.defer(
            trigger=GangTrigger(
                namespace=layout.namespace,
                name=layout.name,
                workers=layout.workers,
                connection=connection_of(settings),
                started=time.time(),
                start_timeout=settings.start_timeout.total_seconds(),
                deadline=deadline,
                logging_interval=float(self.logging_interval or 5),
            ),
            method_name=self.gang_ended.__name__,
            kwargs={"gang": {"name": layout.name, "namespace": layout.namespace, "workers": layout.workers}},
            timeout=None if deadline is None else timedelta(seconds=max(0.0, deadline - time.time())) + RECHECK,
        )

    def _remove(self) -> None:
        if self._layout is None:
            return
        try:
            cluster.delete(self.client, self._layout)
        except NightshiftError as error:
            self.log.warning("%s. The reaper will try again; by hand: kubectl delete service", error)


def _task(annotations: Mapping[str, str]) -> list[tuple[str, str]]:
    """What tells one task from another, whatever its try."""
    return [(name, value) for name, value in annotations.items() if name != "nightshift/try"]
