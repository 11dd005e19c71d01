"""What watches over a gang, where the cluster does not answer as it should."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from plugins.gang import trigger
from plugins.gang.trigger import GangTrigger
from plugins.runtime.pod_state import Member

RUNNING = [Member(0, "gang-0", "running")]
ENDED = [Member(0, "gang-0", "ended", 0)]


class Watched(GangTrigger):
    """A gang of one that is seen as told, look by look; the last of them for ever."""

    def __init__(self, *looks: Sequence[Member] | Exception, **more: Any) -> None:
        super().__init__(
            namespace="team",
            name="docs-train-1",
            workers=1,
            connection={},
            started=0.0,
            start_timeout=1e12,
            poll=0.0,
            logging_interval=0.0,
            **more,
        )
        self.looks = list(looks)

    async def _members(self) -> list[Member]:
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, Exception):
            raise look
        return list(look)


async def status_of(watching: GangTrigger) -> str:
    async with asyncio.timeout(60):
        async for event in watching.run():
            return str(event.payload["status"])
    raise AssertionError("no event")


class Conn:
    """A hook whose connection can be had, or cannot be looked up."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    @contextlib.asynccontextmanager
    async def get_conn(self) -> AsyncIterator[None]:
        if self.error is not None:
            raise self.error
        yield None


def test_a_log_that_hangs_keeps_nobody_from_seeing_the_gang_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trigger, "LAST_WORDS", 0.01)
    begun = list[int]()

    async def hang(*arguments: Any) -> bytes:
        begun.append(1)
        await asyncio.Event().wait()
        return b""

    watching = Watched(RUNNING, RUNNING, RUNNING, RUNNING, ENDED)
    monkeypatch.setattr(watching, "_read", hang)
    watching.__dict__["hook"] = Conn()
    assert asyncio.run(status_of(watching)) == "ended"
    assert begun == [1], "one reading at a time"


@pytest.mark.parametrize("error", [AirflowNotFoundException("no connection 'cluster'"), OSError("no kubeconfig")])
def test_a_connection_that_cannot_be_looked_up_now_ends_no_gang(error: Exception) -> None:
    watching = Watched(RUNNING, error, RUNNING, RUNNING, ENDED)
    watching.__dict__["hook"] = Conn(error)
    assert asyncio.run(status_of(watching)) == "ended"


def test_what_was_said_until_the_end_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [b"2026-11-21T12:00:00.1Z one\n", b"2026-11-21T12:00:00.2Z two"]

    async def read(api: Any, member: Member, tail: Any) -> bytes:
        tail.since()
        return said[0] if member.state == "running" else b"".join(said)

    watching = Watched(RUNNING, RUNNING, ENDED)
    monkeypatch.setattr(watching, "_read", read)
    watching.__dict__["hook"] = Conn()
    assert asyncio.run(status_of(watching)) == "ended"
    written = capsys.readouterr().out
    assert [written.count(f"[worker 0] {line}") for line in ("one", "two")] == [1, 1]
