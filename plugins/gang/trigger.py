"""What watches over a running gang, in Airflow's triggerer: no task process, but its pool slots, while it trains."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from airflow.providers.cncf.kubernetes.hooks.kubernetes import AsyncKubernetesHook
from airflow.triggers.base import BaseTrigger, TriggerEvent
from kubernetes_asyncio import client as k8s
from kubernetes_asyncio.client import ApiException
from kubernetes_asyncio.config import ConfigException
from urllib3.exceptions import HTTPError

from plugins.gang.cluster import NO_WAY, members_of
from plugins.gang.layout import Layout
from plugins.gang.logs import Tail
from plugins.runtime.pod_state import CONTAINER, Member

FAULTS = (ApiException, HTTPError, aiohttp.ClientError, TimeoutError, ConfigException, *NO_WAY)
"""Of a cluster that does not answer, or not now, or whose connection cannot be looked up just now."""
LAST_WORDS = 30.0
"""Seconds for the rest of the logs once a gang has ended: a kubelet that hangs must not hold its end up."""
_DELETING: set[asyncio.Task[None]] = set()
"""What nobody waits for any more; the event loop alone would not keep it."""
TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class GangTrigger(BaseTrigger):
    """Waits until a gang ended, streaming the logs of its workers.

    Fires once, with ``status``: ``ended`` (all of them; or one badly, or worker 0 with the result, and the others had
    ``settle`` seconds), ``late`` (one did not start in time) or ``timeout``. The operator reads from the pods
    themselves what happened. An API server that is away is waited for until ``deadline``.

    :param namespace: where the gang is.
    :param name: of its Service.
    :param workers: how many there are.
    :param connection: how the cluster is reached: arguments of ``AsyncKubernetesHook``.
    :param started: seconds since the epoch: from then on ``start_timeout`` counts.
    :param start_timeout: seconds after which every worker must run.
    :param deadline: seconds since the epoch at which the task must have ended.
    :param settle: seconds between the first worker that fails, or the result, and the end of the gang.
    :param poll: seconds between two looks at the pods.
    :param logging_interval: seconds between two looks at their logs.
    """

    def __init__(
        self,
        *,
        namespace: str,
        name: str,
        workers: int,
        connection: dict[str, Any],
        started: float,
        start_timeout: float,
        deadline: float | None = None,
        settle: float = 20.0,
        poll: float = 2.0,
        logging_interval: float = 5.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.namespace = namespace
        self.name = name
        self.workers = workers
        self.connection = connection
        self.started = started
        self.start_timeout = start_timeout
        self.deadline = deadline
        self.settle = settle
        self.poll = poll
        self.logging_interval = logging_interval
        self._layout = Layout.named(name, namespace, workers)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kept = ("namespace", "name", "workers", "connection", "started", "start_timeout", "deadline")
        tempo = ("settle", "poll", "logging_interval")
        return "plugins.gang.trigger.GangTrigger", {name: getattr(self, name) for name in (*kept, *tempo)}

    @cached_property
    def hook(self) -> AsyncKubernetesHook:
        """The cluster as this machine reaches it, which may not be the one that started the gang."""
        told = dict(self.connection)
        file = told.pop("config_file", None)
        if file:
            told["config_dict"] = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        elif told.get("in_cluster") is None and told.get("conn_id") is None and TOKEN.exists():
            told["in_cluster"] = True  # which the hook, other than its blocking sister, does not find out
        return AsyncKubernetesHook(**told)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        self.log.info("watching the %s workers of %s in namespace %s", self.workers, self.name, self.namespace)
        tails = [Tail(worker) for worker in range(self.workers)]
        looked_at_logs, first_end, status = 0.0, None, None
        seen: dict[int, str] = {}
        reading: asyncio.Task[None] | None = None
        try:
            while status is None:
                now = time.time()
                try:
                    found = await self._members()
                except FAULTS as error:
                    self.log.warning("cannot see the gang, and will look again: %s", _brief(error))
                    found = []
                self._tell(found, seen)
                if any(member.failed or (member.worker == 0 and member.ended_well) for member in found):
                    first_end = first_end or now
                status = self._status(found, now, first_end)
                if status is None:
                    # Beside the watch: a log that hangs must not keep it from seeing how the gang fares.
                    if now - looked_at_logs >= self.logging_interval and (reading is None or reading.done()):
                        looked_at_logs, reading = now, asyncio.create_task(self._stream(found, tails, last=False))
                    await asyncio.sleep(self.poll)
            await self._finish(reading, found, tails)
        finally:
            if reading is not None:
                reading.cancel()
        yield TriggerEvent({"status": status})  # type: ignore[no-untyped-call]

    async def _finish(self, reading: asyncio.Task[None] | None, found: Sequence[Member], tails: Sequence[Tail]) -> None:
        """Write the rest of what the workers said, as far as it is to be had."""
        try:
            async with asyncio.timeout(LAST_WORDS):
                if reading is not None:
                    await asyncio.wait([reading])
                await self._stream(found, tails, last=True)
        except TimeoutError:
            self.log.warning("the rest of the workers' logs did not come within %.0f s", LAST_WORDS)

    def _status(self, found: Sequence[Member], now: float, first_end: float | None) -> str | None:
        if found and (all(member.failed or member.ended_well for member in found)):
            return "ended"
        if first_end is not None and (now - first_end >= self.settle or _none_will_speak(found)):
            return "ended"
        if self.deadline is not None and now >= self.deadline:
            return "timeout"
        late = any(member.state == "pending" for member in found) and now - self.started >= self.start_timeout
        return "late" if late else None

    def _tell(self, found: Sequence[Member], seen: dict[int, str]) -> None:
        """Log what changed about a worker, with Kubernetes' own reason."""
        for member in found:
            state = f"{member.state} {member.reason}".strip()
            if seen.get(member.worker) == state:
                continue
            seen[member.worker] = state
            write = self.log.warning if member.failed or member.reason == "Unschedulable" else self.log.info
            code = "" if member.exit_code is None else f", exit code {member.exit_code}"
            said = f": {member.message}" if member.state == "pending" and member.message else ""
            write("worker %s (pod %s): %s%s%s", member.worker, member.pod, state, code, said)

    async def _members(self) -> list[Member]:
        async with self.hook.get_conn() as connection:
            pods = await k8s.CoreV1Api(connection).list_namespaced_pod(
                self.namespace, label_selector=self._layout.selector
            )
        return members_of(self._layout, pods.items)

    async def _stream(self, found: Sequence[Member], tails: Sequence[Tail], *, last: bool) -> None:
        """Write what the workers said since the last time, each line with its worker in front."""
        speaking = [
            member for member in found if member.state in ("running", "ended") and not tails[member.worker].over
        ]
        try:
            async with self.hook.get_conn() as connection:
                api = k8s.CoreV1Api(connection)
                for texts in _batches(speaking, 16):
                    said = await asyncio.gather(*(self._read(api, member, tails[member.worker]) for member in texts))
                    for member, text in zip(texts, said, strict=True):
                        for level, line in tails[member.worker].lines(text, whole=last or member.state == "ended"):
                            self.log.log(level, "[worker %s] %s", member.worker, line)
        except FAULTS as error:
            self.log.warning("no logs of the workers now: %s", _brief(error))

    async def _read(self, api: Any, member: Member, tail: Tail) -> bytes:
        try:
            response = await api.read_namespaced_pod_log(
                member.pod, self.namespace, container=CONTAINER, timestamps=True, _preload_content=False, **tail.since()
            )
            return bytes(await response.read())
        except FAULTS as error:
            self.log.debug("no log of worker %s now: %s", member.worker, _brief(error))
            return b""

    async def on_kill(self) -> None:
        """A person marked the task, or cleared it: leave no pod.

        The triggerer cancels a trigger again at every look that it takes, until it is gone, and this method with it:
        what is begun goes on all the same.
        """
        self.log.info("the task is no longer wanted: deleting the gang %s", self.name)
        deleting = asyncio.create_task(self._delete())
        _DELETING.add(deleting)
        deleting.add_done_callback(_DELETING.discard)
        await asyncio.shield(deleting)

    async def _delete(self) -> None:
        async with self.hook.get_conn() as connection:
            api = k8s.CoreV1Api(connection)
            await _unless_gone(api.delete_namespaced_service(self.name, self.namespace))
            for worker in range(self.workers):
                await _unless_gone(api.delete_namespaced_pod(self._layout.pod_name(worker), self.namespace))


def _none_will_speak(found: Sequence[Member]) -> bool:
    """Whether nobody who could tell more is left: a worker failed, and none of the others ever ran."""
    return bool(found) and not any(member.state == "running" for member in found)


def _batches(values: Sequence[Member], size: int) -> list[Sequence[Member]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _brief(error: BaseException) -> str:
    return f"{error.status} {error.reason}" if isinstance(error, ApiException) else f"{type(error).__name__}: {error}"


async def _unless_gone(call: Any) -> None:
    try:
        await call
    except ApiException as error:
        if error.status != 404:
            raise
