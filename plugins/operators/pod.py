"""The steps of the chain as pods: twins of ``StepOperator``, ``GateOperator`` and ``SnapshotOperator``.

Importing this module takes KubernetesPodOperator (three seconds) with it: only a corpus with ``runtime: kubernetes``
makes anything do so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException
from kubernetes.client import ApiException

from plugins.gang.cluster import explained
from plugins.gang.room import require_room
from plugins.operators.gate import Gate
from plugins.operators.in_cluster import ClusterStep
from plugins.operators.snapshot import Snapshot
from plugins.runtime.pod_end import in_its_image, mishap_of, outcome_of
from plugins.runtime.pod_state import member_of
from plugins.runtime.pods import CORPUS_VARIABLE, Identity, Work, pod_of
from tasks.errors import Lacking

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

POLL = 2
"""Seconds between two looks at a pod."""


class PodStepOperator(ClusterStep):
    """A step as a pod, as the corpus' section ``kubernetes`` describes it.

    The task is deferred while the pod waits and runs: it holds no worker of Airflow's, and a slot of its pool where
    that counts deferred tasks. A scheduler, worker or triggerer that dies finds the pod again. However the task ends,
    its pod is deleted. The result is the container's termination message, the errors are the local runtime's.

    :param logging_interval: at most so many seconds until a line of the pod is in the task's log.
    """

    def __init__(self, *, logging_interval: int = 5, **kwargs: Any) -> None:
        super().__init__(
            **kwargs,
            # The result is pushed as any operator's is, not through a sidecar: see _without_sidecar.
            do_xcom_push=True,
            deferrable=True,
            logging_interval=logging_interval,
            poll_interval=POLL,
            startup_check_interval_seconds=POLL,
            log_pod_spec_on_failure=False,
            # Its own default would take from a killed container the last words that pod_of asks for.
            termination_message_policy="FallbackToLogsOnError",
        )
        self._handed_on: str | list[str] | None = None

    def execute(self, context: Context) -> str | list[str] | None:
        """Start the pod, or find the one that runs, and wait for its end in the triggerer.

        Raises:
            BadInput: the configuration is wrong, or the cluster refuses such a pod.
        """
        corpus, settings, text = self._load()
        arguments = self.command_line(f"env:{CORPUS_VARIABLE}")
        label = getattr(self, "expectation_suite_name", None) or (self.shard or "").rpartition("#")[2]
        self.full_pod_spec = pod_of(corpus, text, Work(self.step, arguments, Identity.of(context), label))
        require_room(self.client, self.full_pod_spec, 1, elastic=settings.elastic)
        try:
            with self._without_sidecar():
                super().execute(context)  # leaves by TaskDeferred, unless the pod has ended already
        except ApiException as error:
            raise explained(error, f"{self.step}: cannot start a pod in namespace {settings.namespace}") from error
        return self._handed_on

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> str | list[str]:
        """What the trigger comes back to: the pod's result, or the error of the type that its end says.

        Raises:
            NightshiftError: the pod did not end well.
        """
        self._load()
        said = ""
        try:
            with self._without_sidecar():
                super().trigger_reentry(context, event)
        except AirflowException as failure:
            said = str(failure).splitlines()[0]
        end = member_of(0, event["name"], self.pod)
        who = f"{self.step}: pod {end.pod}"
        if mishap := mishap_of(end, who, remedy="make more and smaller shards", said=said):
            raise mishap
        try:
            self._handed_on = self.returned(self.result_of(outcome_of(end)), context)
        except Lacking as error:
            raise in_its_image(error, end) from error
        return self._handed_on

    @contextmanager
    def _without_sidecar(self) -> Iterator[None]:
        """While KubernetesPodOperator is at work: to it, a task that pushes an XCom is one with a sidecar."""
        self.do_xcom_push = False
        try:
            yield
        finally:
            self.do_xcom_push = True


class PodGateOperator(Gate, PodStepOperator):
    """A gate as a pod."""


class PodSnapshotOperator(Snapshot, PodStepOperator):
    """The start of a training as a pod."""
