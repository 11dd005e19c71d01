"""Deletes what a dead Airflow left in the cluster: gangs and pods whose task is no longer live.

An operator and its trigger delete their pods however their task ends, but for one case: nobody is there to do it. The
triggerer was down when a person marked the task; the process was killed between a worker's end and its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

GRACE = timedelta(minutes=5)
"""A younger one may belong to a task whose state is on its way to the database."""
ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")
ENDED_RUNS = ("success", "failed")

IsLive = Callable[[Mapping[str, str]], bool]


class ReaperOperator(BaseOperator):
    """Deletes the gangs and pods of this Airflow whose task has ended, was cleared for good or is unknown by now.

    A task that is to be tried again counts as live: its next try takes its pods up, or removes them. Where another
    Airflow may have the same id nothing is deleted: to this one, the other's tasks are unknown.

    :param places: where to look: ``namespace`` and how its cluster is reached, as ``KubernetesHook`` takes it.
    :param grace: how old a gang or pod must be.
    """

    ui_color = "#eceff1"

    def __init__(self, *, places: Sequence[Mapping[str, Any]], grace: timedelta = GRACE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.places = list(places)
        self.grace = grace

    def execute(self, context: Context) -> list[str]:
        from plugins.gang.cluster import connect
        from plugins.runtime.airflow import why_ambiguous
        from tasks.errors import BadInput, NightshiftError

        if ambiguous := why_ambiguous():
            raise BadInput(f"no pod was looked for, for it might be another's: {ambiguous}")
        reaped, faults = [], []
        for place in self.places:
            namespace, connection = place["namespace"], {k: v for k, v in place.items() if k != "namespace"}
            try:
                names = reap(connect(connection), namespace, live_in(context), now=datetime.now(UTC), grace=self.grace)
            except NightshiftError as error:  # another cluster must not go unswept for it
                faults.append(f"namespace {namespace}: {error}")
                continue
            self.log.info(
                "namespace %s: %s", namespace, f"deleted {', '.join(names)}" if names else "nothing to delete"
            )
            reaped += names
        if faults:
            raise NightshiftError("; ".join(faults))
        return reaped


def reap(client: Any, namespace: str, is_live: IsLive, *, now: datetime, grace: timedelta = GRACE) -> list[str]:
    """Delete every gang, and every pod of a step, of this Airflow that nobody needs; returns their names.

    Of one task only the newest can be needed. ``is_live`` is asked with the annotations of a gang or pod.

    Raises:
        NightshiftError: the cluster does not answer, or will not; ``BadInput`` if it never will.
    """
    from plugins.gang import cluster
    from plugins.gang.layout import GANG
    from plugins.runtime.airflow import AIRFLOW, airflow_id

    ours, reaped = f"{AIRFLOW}={airflow_id()}", []
    for service in _unneeded(cluster.generations(client, namespace, f"{GANG},{ours}"), is_live, now - grace):
        cluster.delete_service(client, service)
        reaped.append(str(service.metadata.name))
    for pod in _unneeded(cluster.steps(client, namespace, f"!{GANG},{ours}"), is_live, now - grace):
        cluster.delete_pod(client, pod)
        reaped.append(str(pod.metadata.name))
    return reaped


def _unneeded(found: Iterable[Any], is_live: IsLive, born_before: datetime) -> Iterator[Any]:
    """Of objects of the cluster, newest first, those that no task will ask for."""
    newest = set[tuple[str | None, ...]]()
    for each in found:
        notes = each.metadata.annotations or {}
        task = tuple(notes.get(f"nightshift/{name}") for name in ("dag", "task", "run", "map-index"))
        superseded = task in newest
        newest.add(task)
        if each.metadata.creation_timestamp <= born_before and (superseded or not is_live(notes)):
            yield each


def live_in(context: Context) -> IsLive:
    """Whether Airflow still means to do something with the task that these annotations name."""
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
