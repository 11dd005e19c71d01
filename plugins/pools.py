"""Ends at once a run that no pool could ever hold; Airflow itself would leave its task scheduled for ever, silently.

A listener: it runs in the scheduler, which alone knows the pools. The reason is the run's note in the web UI, and what
those are told who want to know of failures.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)
ENDLESS = -1


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:
    """Fail the run, with a note, if one of its tasks asks for more slots than its pool has in all."""
    from airflow.models.pool import Pool
    from airflow.utils.state import DagRunState
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    dag, session = dag_run.dag, object_session(dag_run)
    if dag is None or session is None or "nightshift" not in dag.tags:
        return
    slots = {str(pool.pool): int(pool.slots) for pool in session.scalars(select(Pool))}
    if reasons := misfits(dag.tasks, slots):
        dag_run.note = "\n".join(reasons)
        dag_run.set_state(DagRunState.FAILED)
        _tell(dag_run, dag, reasons, session)
        log.error("run %s of %s cannot run: %s", dag_run.run_id, dag_run.dag_id, "; ".join(reasons))


def _tell(dag_run: DagRun, dag: Any, reasons: Sequence[str], session: Any) -> None:
    """Have the DAG's own callback called, as the scheduler does; a run that is set to failed has none called."""
    from airflow.models.db_callback_request import DbCallbackRequest

    if not dag.has_on_failure_callback:
        return
    tasks = [reason.partition(":")[0] for reason in reasons]
    misfit = next((ti for ti in dag_run.task_instances if ti.task_id in tasks), None)
    if request := dag_run.produce_dag_callback(dag, success=False, relevant_ti=misfit, reason="\n".join(reasons)):
        session.add(DbCallbackRequest(callback=request, priority_weight=1))


def misfits(tasks: Iterable[Any], slots: Mapping[str, int]) -> list[str]:
    """One line for each task that would wait for ever; ``slots`` has every pool's size."""
    found = []
    for task in tasks:
        size = slots.get(task.pool)
        if size is None:
            found.append(
                f"{task.task_id}: there is no pool {task.pool!r}: make it (airflow pools set {task.pool} SLOTS "
                "DESCRIPTION --include-deferred), or give resources.pool another name"
            )
        elif size != ENDLESS and task.pool_slots > size:
            found.append(
                f"{task.task_id}: a gang of {task.pool_slots} workers takes as many slots, and pool {task.pool!r} has "
                f"{size}: raise the pool, or lower resources.workers"
            )
    return found
