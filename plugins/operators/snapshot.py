"""The start of a training: what data there is, and whether it was trained on already."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, SkipMixin

from plugins.operators.step import Step, StepOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

ACTIVE = ["queued", "running"]
RESCHEDULE = 15.0
"""Seconds between two looks, each a process of its own."""
LINGER = 5
"""Looks a second apart before it goes: the run whose upload started us is running for a moment longer."""


class QuietSensor(BaseSensorOperator):
    """Waits, holding no worker, until no ingest run of the corpus is queued or running.

    A backfill of thirty days starts a retraining after its first day; this lets that one see them all.
    After ``patience`` the training goes on with what there is: a stuck ingest must not cost the night, and
    whatever it still publishes starts the next retraining.

    :param ingest_dag_id: the DAG whose runs are waited for.
    :param patience: how long.
    """

    template_fields: Sequence[str] = ("ingest_dag_id",)
    ui_color = "#f3e5f5"

    def __init__(self, *, ingest_dag_id: str, patience: timedelta, **kwargs: Any) -> None:
        super().__init__(
            mode="reschedule",
            # Not shorter, and no exponential backoff, which begins at 1 s: when a rescheduled task runs again before
            # the scheduler has read that its last process ended, the scheduler takes the new one for failed.
            poke_interval=RESCHEDULE,
            timeout=(patience + timedelta(hours=1)).total_seconds(),
            **kwargs,
        )
        self.ingest_dag_id = ingest_dag_id
        self.patience = patience

    def poke(self, context: Context) -> bool:
        ti = context["ti"]
        for look in range(LINGER):
            if look:
                time.sleep(1)
            active = ti.get_dr_count(dag_id=self.ingest_dag_id, states=ACTIVE)
            if active == 0:
                break
        if active == 0:
            self.log.info("no run of %s is queued or running", self.ingest_dag_id)
            return True
        now = datetime.now(UTC)
        waited = now - (ti.get_first_reschedule_date(context) or now)
        if waited >= self.patience:
            self.log.warning(
                "%s runs of %s are still queued or running after %s: training without them. Look at those runs; "
                "what they publish starts another retraining",
                active,
                self.ingest_dag_id,
                waited,
            )
            return True
        self.log.info("%s runs of %s are queued or running; waited %s so far", active, self.ingest_dag_id, waited)
        return False


class Snapshot(Step, SkipMixin):
    """Runs ``nightshift snapshot`` and skips the rest of the run when that snapshot is settled.

    Settled means that this very data, with this configuration and code, was promoted and backed up
    already, or was rejected by its gate: the result's ``counts.settled`` says which.
    """

    inherits_from_skipmixin = True

    def returned(self, result: Mapping[str, Any], context: Context) -> str:
        url = str(result["manifest"])
        reason = result["counts"].get("settled")
        if reason:
            self.log.info("nothing to train, the rest is skipped: %s", reason)
            # ``skip`` ends this task by an exception, so its XCom goes first.
            context["ti"].xcom_push(key="return_value", value=url)
            self.skip(context["ti"], context["task"].get_flat_relatives(upstream=False))
        return url


class SnapshotOperator(Snapshot, StepOperator):
    """The start of a training as a process of the Airflow worker's own machine."""
