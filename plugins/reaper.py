"""Deletes what a dead Airflow left in the cluster: gangs whose task is no longer live.

An operator and its trigger delete their gang however their task ends, but for one case: nobody is there to do it. The
triggerer was down when a person marked the task; the process was killed between a worker's end and its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

GRACE = timedelta(minutes=5)
"""A younger gang may belong to a task whose state is on its way to the database."""
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
ENDED_RUNS = ("success", "failed")

IsLive = Callable[[Mapping[str, str]], bool]


class ReaperOperator(BaseOperator):
    """Deletes the gangs of this Airflow whose task has ended, was cleared for good or is unknown by now.

    A task that is to be tried again counts as live: its next try takes its gang up, or removes it.

    :param places: where to look: ``namespace`` and how its cluster is reached, as ``KubernetesHook`` takes it.
    :param grace: how old a gang must be.
    """

    ui_color = "#eceff1"

    def __init__(self, *, places: Sequence[Mapping[str, Any]], grace: timedelta = GRACE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.places = list(places)
        self.grace = grace

    def execute(self, context: Context) -> list[str]:
        from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

        from tasks.errors import NightshiftError

        reaped, faults = [], []
        for place in self.places:
            namespace, connection = place["namespace"], {k: v for k, v in place.items() if k != "namespace"}
            client = KubernetesHook(**connection).core_v1_client
            try:
                names = reap(client, namespace, live_in(context), now=datetime.now(UTC), grace=self.grace)
            except NightshiftError as error:  # another cluster must not go unswept for it
                faults.append(str(error))
                continue
            self.log.info(
                "namespace %s: %s", namespace, f"deleted {', '.join(names)}" if names else "nothing to delete"
            )
            reaped += names
        if faults:
            raise NightshiftError("; ".join(faults))
        return reaped


def reap(client: Any, namespace: str, is_live: IsLive, *, now: datetime, grace: timedelta = GRACE) -> list[str]:
    """Delete every gang of this Airflow that nobody needs; returns their names.

    Of one task only the newest generation can be needed. ``is_live`` is asked with a gang's annotations.

    Raises:
        NightshiftError: the cluster does not answer, or will not; ``BadInput`` if it never will.
    """
    from plugins.gang import cluster
    from plugins.gang.airflow import airflow_id
    from plugins.gang.layout import AIRFLOW, GANG

    reaped, newest = [], set[tuple[str | None, ...]]()
    for service in cluster.generations(client, namespace, f"{GANG},{AIRFLOW}={airflow_id()}"):
        notes = service.metadata.annotations or {}
        task = tuple(notes.get(f"nightshift/{name}") for name in ("dag", "task", "run", "map-index"))
        superseded = task in newest
        newest.add(task)
        if now - service.metadata.creation_timestamp < grace:
            continue
        if superseded or not is_live(notes):
            cluster.delete_service(client, service)
            reaped.append(str(service.metadata.name))
    return reaped


def live_in(context: Context) -> IsLive:
    """Whether Airflow still means to do something with the task that a gang's annotations name."""
    ti = context["ti"]

    def is_live(notes: Mapping[str, str]) -> bool:
        dag, task, run = (notes.get(f"nightshift/{name}", "") for name in ("dag", "task", "run"))
        index = int(notes.get("nightshift/map-index", "-1"))
        found = ti.get_task_states(dag_id=dag, task_ids=[task], run_ids=[run], map_index=index).get(run, {})
        key = task if index < 0 else f"{task}_{index}"
        if key not in found or found[key] in ENDED:
            return False
        # A task without a state was cleared, or has not begun: that of a run that has ended never will.
        return found[key] is not None or ti.get_dagrun_state(dag_id=dag, run_id=run) not in ENDED_RUNS

    return is_live
