"""A step's pod on a cluster without Airflow's processes: the operator's methods called as Airflow would call them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger
from airflow.sdk.exceptions import TaskDeferred

from plugins.operators.pod import PodStepOperator


class Task:
    """One Airflow task whose operator is a step in a pod."""

    def __init__(self, make: Callable[[], PodStepOperator], seconds: float = 200) -> None:
        self._make = make
        self._seconds = seconds
        self._kept: dict[str, Any] = {}

    def context(self) -> Any:
        ti = SimpleNamespace(
            dag_id="ingest_docs",
            task_id=self._make().task_id,
            run_id="manual__2026-11-20T00:00:00+00:00",
            map_index=0,
            try_number=1,
            start_date=datetime.now(UTC),
            xcom_push=lambda key, value: None,
        )
        kept = SimpleNamespace(get=self._kept.get, set=self._kept.__setitem__)
        return {"ti": ti, "run_id": ti.run_id, "dag": SimpleNamespace(), "task_state_store": kept}

    def start(self) -> TaskDeferred:
        try:
            self._make().execute(self.context())
        except TaskDeferred as deferred:
            return deferred
        raise AssertionError("the task did not defer")

    def run(self, during: Callable[[], Awaitable[None]] | None = None) -> Any:
        """From the start to the end; ``during`` runs beside the trigger."""
        deferred = self.start()
        assert isinstance(deferred.trigger, KubernetesPodTrigger)
        # The trigger as a triggerer makes it: from what was kept of it.
        trigger = KubernetesPodTrigger(**deferred.trigger.serialize()[1])
        event = asyncio.run(self._watch(trigger, during))
        return self._make().trigger_reentry(self.context(), event)

    async def _watch(self, trigger: KubernetesPodTrigger, during: Callable[[], Awaitable[None]] | None) -> Any:
        beside = asyncio.ensure_future(during()) if during else None
        event = await asyncio.wait_for(anext(trigger.run()), self._seconds)
        if beside:
            await beside
        return event.payload
