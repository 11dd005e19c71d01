"""``rollback_<corpus>``, ``release_<corpus>``, ``restore_drill`` and ``reap_pods``: what people do by hand, what
proves that the backups are good, and what tidies up. An Airflow DAG file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, CronTriggerTimetable, Param
from factory import Chain, chains

from plugins.reaper import ReaperOperator

WHO = "{{ dag_run.triggering_user_name or 'airflow' }}"

ROLLBACK = """
Makes an earlier version the champion again, with an audit record. Trigger it with the version and the reason.
Nothing is deleted, so that the version rolled back from can be made champion the same way.
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
        **chain.dag_arguments("rollback", ROLLBACK),
        schedule=None,
        params={
            "to": Param(type="integer", minimum=1, title="Version", description="The version to go back to."),
            "reason": _text("Reason", "Why; kept in the audit record."),
        },
    ) as dag:
        chain.step("rollback", options={"to": "{{ params.to }}", "reason": "{{ params.reason }}", "by": WHO})
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
    with DAG(
        "restore_drill",
        description="Restores every backup beside production and scores it",
        doc_md=DRILL,
        schedule=CronTriggerTimetable("0 12 * * 0", timezone="UTC"),
        start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")),
        catchup=False,
        max_active_runs=1,
        tags=["nightshift", "upkeep"],
    ) as dag:
        for chain in all_chains:
            chain.step("restore", task_id=f"restore_{chain.name}", flags=["drill"], **chain.task_arguments)
    return dag


def reap_pods(all_chains: Iterable[Chain]) -> DAG | None:
    """One DAG for all corpora whose steps are pods; None where there is no such corpus."""
    places = {tuple(sorted(place.items())) for chain in all_chains if (place := chain.cluster)}
    if not places:
        return None
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
        ReaperOperator(
            task_id="reap",
            places=[dict(place) for place in sorted(places, key=repr)],
            retries=0,
            execution_timeout=timedelta(minutes=4),
            doc_md="Deletes gangs and pods whose task is no longer live.",
        )
    return dag


for each in chains("rollback", "release"):
    globals()[f"rollback_{each.name}"] = rollback(each)
    globals()[f"release_{each.name}"] = release(each)
globals()["restore_drill"] = restore_drill(chains())
globals()["reap_pods"] = reap_pods(chains())
