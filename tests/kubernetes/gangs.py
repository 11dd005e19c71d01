"""A gang on a cluster without Airflow's processes: the operator's methods called as Airflow would call them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TriggerEvent
from kubernetes.client import models as k8s

from plugins.gang.trigger import GangTrigger
from plugins.operators.gang import TrainingGangOperator

SNAPSHOT = "s3://bucket/snapshots/docs/0123456789abcdef/_manifest.json"

WORKER = """
import json, os, signal, socket, sys, time

arguments = dict(each.lstrip("-").split("=", 1) for each in sys.argv[1:] if "=" in each)
worker, workers = map(int, arguments["worker"].split("/"))
peers = [each.split(":") for each in arguments["peers"].split(",")]
signal.signal(signal.SIGTERM, lambda *_: end(77, error="Preempted", message="told to leave"))

def end(code, error=None, message="", **fields):
    said = {"step": "train", **fields, **({"error": {"type": error, "message": message}} if error else {})}
    with open(os.environ["NIGHTSHIFT_RESULT_FILE"], "w") as out:
        out.write(json.dumps(said))
    sys.exit(code)

def say(text):
    print(f"level=info event={text!r}", file=sys.stderr, flush=True)

def meet():
    for host, _ in peers:
        while True:
            try:
                socket.getaddrinfo(host, None)
                break
            except OSError:
                time.sleep(0.2)

def done():
    end(0, **({"manifest": "s3://bucket/models/docs/run/_manifest.json", "message": "trained"} if worker == 0 else {}))

def forever():
    say("training")
    while True:
        time.sleep(0.1)
"""
"""What every worker of these tests begins with; the test adds what this one does."""


@dataclass
class Task:
    """One Airflow task whose operator is a gang; each ``run`` is a try."""

    operator: Callable[[], TrainingGangOperator]
    tries: int = 0
    run_id: str = "manual__2026-11-20T00:00:00+00:00"
    logged: list[str] = field(default_factory=list)

    def context(self) -> Any:
        ti = SimpleNamespace(
            dag_id="retrain_docs",
            task_id="train",
            run_id=self.run_id,
            map_index=-1,
            try_number=self.tries,
            start_date=datetime.now(UTC),
        )
        return {"ti": ti, "run_id": self.run_id, "dag": SimpleNamespace()}

    def start(self) -> TaskDeferred:
        """A new try, until it waits in the triggerer."""
        self.tries += 1
        try:
            self.operator().execute(self.context())
        except TaskDeferred as deferred:
            return deferred
        raise AssertionError("the gang did not defer")

    def run(self, during: Callable[[GangTrigger], Awaitable[None]] | None = None) -> Any:
        """A new try to its end; ``during`` runs beside the trigger."""
        return self.finish(self.start(), during)

    def finish(self, deferred: TaskDeferred, during: Callable[[GangTrigger], Awaitable[None]] | None = None) -> Any:
        event = asyncio.run(self._watch(again(deferred.trigger), during))
        operator = self.operator()
        return operator.resume_execution(
            deferred.method_name, {**(deferred.kwargs or {}), "event": event.payload}, self.context()
        )

    async def _watch(self, trigger: GangTrigger, during: Callable[[GangTrigger], Awaitable[None]] | None) -> Any:
        beside = asyncio.create_task(during(trigger)) if during else None  # type: ignore[arg-type]
        watching = asyncio.create_task(asyncio.wait_for(first(trigger.run()), 480))
        if beside:
            try:
                await beside  # what goes wrong there is said at once, not when the gang ends
            except BaseException:
                watching.cancel()
                raise
        return await watching


def again(trigger: Any) -> GangTrigger:
    """The trigger as a triggerer makes it: from what was kept of it."""
    path, kept = trigger.serialize()
    assert path == f"{GangTrigger.__module__}.{GangTrigger.__name__}"
    return GangTrigger(**kept)


async def first(events: AsyncIterator[TriggerEvent]) -> TriggerEvent:
    async for event in events:
        return event
    raise AssertionError("the trigger ended without an event")


class ScriptedGang(TrainingGangOperator):
    """A gang whose pods run a script in place of ``nightshift``."""

    script = ""

    def _template(self, *arguments: Any) -> k8s.V1Pod:
        pod = super()._template(*arguments)
        pod.spec.termination_grace_period_seconds = 2  # the script has no checkpoint to make
        pod.spec.containers[0].command = ["python", "-c", f"{WORKER}\n{self.script}"]
        return pod


def corpus_file(folder: Path, namespace: str, image: str, *, settings: Any = None, **resources: Any) -> Path:
    """A corpus whose recipe is mirrored, for pods in ``namespace``."""
    path = folder / "docs.yaml"
    values = {
        "corpus": "docs",
        "runtime": "kubernetes",
        "source": {"live": {"files": {"path": "/nowhere/*.jsonl"}}},
        "train": {"recipe": "text_encoder"},
        "resources": {"cpu": "50m", "memory": "64Mi", "timeout": "5m", **resources},
        "kubernetes": {"namespace": namespace, "image": image, **(settings or {})},
    }
    path.write_text(yaml.safe_dump(values))
    return path
