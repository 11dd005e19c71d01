"""``rollback_<corpus>``, ``release_<corpus>``, ``restore_drill`` and ``reap_pods``: what people do by hand, what
proves that the backups are good, and what tidies up. An Airflow DAG file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, CronTriggerTimetable, Param
from factory import FIRST_RUN, Chain, chains

from plugins.notify import RunNotifier
from plugins.reaper import ReaperOperator

WHO = "{{ dag_run.triggering_user_name or 'airflow' }}"
TO = "{{ 'to=%d' % params.to if params.to else '' }}"

ROLLBACK = """
Makes an earlier version the champion again, with an audit record. Trigger it with the reason, and with the version or
without: then it is the champion before the present one. Nothing is deleted, so that the version rolled back from can be
made champion the same way. `nightshift rollback --corpus {corpus} --list` shows the versions there are.
"""
RELEASE = """
Lets a quarantined partition or model pass, with the reason kept beside the record. Then clear the failed gate of the
run that it stopped (with its downstream tasks): the run goes on where it stood.
"""
DRILL = """
Weekly: restores the newest backup of every corpus beside production, scores the champion on it again, and compares.
A corpus without a champion has nothing to rehearse, and says so. A red task means that tonight's disaster could not be
undone: look at once.
"""
REAP = """
Every five minutes: deletes pods whose Airflow task has ended. Airflow does so itself, unless it was down just
then; a run of this DAG that deleted something says what.
"""


def _text(title: str, description: str) -> Param:
    return Param(type="string", minLength=1, title=title, description=description)


def rollback(chain: Chain) -> DAG:
    """The DAG of one corpus."""
    with DAG(
        **chain.dag_arguments("rollback", ROLLBACK.format(corpus=chain.name)),
        schedule=None,
        params={
            "to": Param(
                None,
                type=["null", "integer"],
                minimum=1,
                title="Version",
                description="The version to go back to. Empty: the champion before the present one.",
            ),
            "reason": _text("Reason", "Why; kept in the audit record."),
        },
    ) as dag:
        chain.step(
            "rollback",
            options={"reason": "{{ params.reason }}", "by": WHO},
            flags=[TO],
            outlets=[chain.model],
            on_success_callback=chain.notifiers("promotion") or None,
        )
    return dag


def release(chain: Chain) -> DAG:
    """The DAG of one corpus."""
    with DAG(
        **chain.dag_arguments("release", RELEASE),
        schedule=None,
        params={
            "stage": Param(
                type="string",
                enum=["raw", "clean", "splits", "features", "model"],
                title="Gate",
                description="The gate that failed.",
            ),
            "partition": _text("Partition", "The day, YYYY-MM-DD, or the training's id for features and model."),
            "reason": _text("Reason", "Why it may pass; kept with the record."),
        },
    ) as dag:
        chain.step(
            "release",
            options={**{name: f"{{{{ params.{name} }}}}" for name in ("stage", "partition", "reason")}, "by": WHO},
        )
    return dag


def restore_drill(all_chains: Iterable[Chain]) -> DAG:
    """One DAG for all corpora: a task each, none of which stops another."""
    all_chains = list(all_chains)
    with DAG(
        "restore_drill",
        description="Restores every backup beside production and scores it",
        doc_md=DRILL,
        # Without a start date, so that an Airflow set up today does not make up for last Sunday.
        schedule=CronTriggerTimetable("0 12 * * 0", timezone="UTC", run_immediately=FIRST_RUN),
        catchup=False,
        max_active_runs=1,
        tags=["nightshift", "upkeep"],
        on_failure_callback=[n for chain in all_chains for n in chain.notifiers("failure", RunNotifier)] or None,
    ) as dag:
        for chain in all_chains:
            chain.step("restore", task_id=f"restore_{chain.name}", flags=["drill"], **chain.task_arguments)
    return dag


def reap_pods(all_chains: Iterable[Chain]) -> DAG | None:
    """One DAG for all corpora whose steps are pods, a task a cluster; None where there is no such corpus."""
    places = {tuple(sorted(place.items())) for chain in all_chains if (place := chain.cluster)}
    if not places:
        return None
    clusters: dict[str, list[dict[str, Any]]] = {}
    for place in map(dict, sorted(places, key=repr)):
        clusters.setdefault(repr({**place, "namespace": None}), []).append(place)
    with DAG(
        "reap_pods",
        description="Deletes pods that nobody waits for any more",
        doc_md=REAP,
        schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC"),
        start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
        catchup=False,
        max_active_runs=1,
        tags=["nightshift", "upkeep"],
    ) as dag:
        # A cluster that does not answer is asked until the task's time is up, and must not take the others' from them.
        ReaperOperator.partial(
            task_id="reap",
            retries=0,
            execution_timeout=timedelta(minutes=4),
            map_index_template="{{ task.places | map(attribute='namespace') | join(', ') }}",
            doc_md="Deletes gangs and pods of one cluster whose task is no longer live.",
        ).expand(places=list(clusters.values()))
    return dag


for each in chains("rollback", "release"):
    globals()[f"rollback_{each.name}"] = rollback(each)
    globals()[f"release_{each.name}"] = release(each)
globals()["restore_drill"] = restore_drill(chains())
globals()["reap_pods"] = reap_pods(chains())
