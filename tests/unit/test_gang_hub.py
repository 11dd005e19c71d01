"""The hub's judgement, with a clock of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import structlog

from tasks.gang.cause import Cause, ended, failed, lost
from tasks.gang.hub import End, Hub
from tasks.gang.peers import Peer
from tasks.gang.timing import Timing

TIMING = Timing(rendezvous=100, startup=50, step=20, silence=10, settle=3)


class Watched(Hub):
    """A hub and all that it said."""

    def __init__(self, workers: int = 2) -> None:
        self.said: list[tuple[int, Mapping[str, Any]]] = []
        peers = [Peer("host", 7000 + 2 * i) for i in range(workers)]
        super().__init__(peers, TIMING, lambda worker, what: self.said.append((worker, what)), LOG, began=0.0)

    def all_came(self, now: float = 0.0) -> None:
        for worker in range(len(self.peers)):
            self.came(worker, now)

    def events(self, worker: int, *events: str, now: float = 0.0, **fields: Any) -> None:
        for event in events:
            self.heard(worker, {"kind": "event", "event": {"event": event, **fields}}, now)

    def beats(self, *workers: int, now: float) -> None:
        for worker in workers:
            self.heard(worker, {"kind": "beat"}, now)

    def to(self, worker: int, kind: str) -> list[Mapping[str, Any]]:
        return [what for to, what in self.said if to == worker and what["kind"] == kind]

    def training(self) -> None:
        """All the way to the first step."""
        self.all_came()
        for worker in range(len(self.peers)):
            self.events(worker, "ready")
        self.events(0, "newest", checkpoint=None)
        for worker in range(len(self.peers)):
            self.events(worker, "restored", step=0, digest="a")
            self.events(worker, "step", step=1)

    @property
    def why(self) -> str:
        assert self.end is not None and self.end.cause is not None
        return f"{self.end.cause.type}: {self.end.cause.message}"


LOG = structlog.get_logger()


def test_nobody_starts_before_all_are_there() -> None:
    hub = Watched(3)
    hub.came(0, 0)
    hub.came(2, 1)
    assert not hub.said
    hub.came(1, 2)
    assert [hub.to(worker, "start") for worker in range(3)] == [[{"kind": "start"}]] * 3


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("newest_first", [True, False])
def test_each_worker_is_told_once_what_to_restore_when_both_it_and_worker_0_are_ready(
    order: tuple[int, int], newest_first: bool
) -> None:
    hub = Watched()
    hub.all_came()
    said = ["newest", "ready"] if newest_first else ["ready", "newest"]
    for worker in order:
        hub.events(worker, *(said if worker == 0 else ["ready"]), checkpoint="checkpoints/7")
    hub.events(1, "ready")
    restore = {"kind": "order", "order": "restore", "checkpoint": "checkpoints/7"}
    assert hub.to(0, "order") == hub.to(1, "order") == [restore]


def test_the_first_step_is_allowed_when_all_have_restored_the_same() -> None:
    hub = Watched()
    hub.all_came()
    hub.events(0, "restored", step=7, digest="a")
    assert not hub.to(0, "order")
    hub.events(1, "restored", step=7, digest="a")
    assert hub.to(0, "order") == hub.to(1, "order") == [{"kind": "order", "order": "go"}]


@pytest.mark.parametrize("other", [{"step": 8, "digest": "a"}, {"step": 7, "digest": "b"}])
def test_one_that_restored_something_else_is_named_by_the_majority(other: dict[str, Any]) -> None:
    hub = Watched(4)
    hub.all_came()
    for worker in (0, 1, 3):
        hub.events(worker, "restored", step=7, digest="a")
    hub.events(2, "restored", **other)
    assert hub.why.startswith("NightshiftError: worker 2 restored another state than the rest: worker 0: step 7")
    assert not hub.to(0, "order")


def test_the_rendezvous_has_a_deadline() -> None:
    hub = Watched(3)
    hub.came(0, 0)
    hub.beats(0, now=100)
    hub.tick(100)
    assert hub.end is None
    hub.tick(100.1)
    assert hub.why.startswith("PeerLost: worker 1 (host:7002), worker 2 (host:7004) have not come within 100 s")
    assert not hub.to(1, "end"), "nobody is there to be told"


def test_start_up_has_a_deadline_that_signs_of_life_do_not_move() -> None:
    hub = Watched()
    hub.all_came(5)
    hub.events(0, "ready", now=54)
    hub.events(0, "alive", now=54, doing="download")
    hub.beats(0, 1, now=55)
    hub.tick(55)
    assert hub.end is None
    hub.tick(55.1)
    assert (
        "worker 1 is lost: no first step 50 s after all workers had come (worker 1 was starting, 50 s ago)" in hub.why
    )
    assert hub.end and hub.end.cause and hub.end.cause.hang


def test_a_training_that_resumes_after_its_last_step_has_started() -> None:
    hub = Watched()
    hub.all_came()
    for worker in (0, 1):
        hub.events(worker, "restored", step=7, digest="a")
    hub.events(1, "done", payload=None)
    for now in range(0, 100, 9):
        hub.events(0, "alive", doing="export", now=now)
        hub.beats(0, 1, now=now)
        hub.tick(now)
    assert hub.end is None


def test_any_workers_progress_keeps_all_of_them() -> None:
    hub = Watched()
    hub.training()
    hub.events(0, "alive", now=19, doing="evaluation")
    hub.beats(0, 1, now=39)
    hub.tick(39)
    assert hub.end is None, "a worker that evaluates holds up the rest, who can say nothing meanwhile"
    hub.tick(39.1)
    assert (
        "one of workers 0, 1 is lost: no progress for 20 s (worker 0 was in evaluation, 20 s ago; worker 1 " in hub.why
    )


def test_one_that_has_nothing_left_to_do_is_not_to_blame() -> None:
    hub = Watched()
    hub.training()
    hub.events(1, "done", payload=None)
    hub.beats(0, 1, now=21)
    hub.tick(21)
    assert hub.why.startswith("PeerLost: worker 0 is lost: no progress for 21 s (worker 0 was after step 1")


def test_a_silent_supervisor_is_lost_though_others_make_progress() -> None:
    hub = Watched()
    hub.training()
    hub.events(0, "step", step=2, now=10.1)
    hub.tick(10.1)
    assert hub.why == "PeerLost: worker 1 is lost: its supervisor at host:7002 is gone: not a word for 10 s"


@pytest.mark.parametrize(
    "echo",
    [
        failed(0, {"type": "PeerLost", "message": "m"}),
        failed(0, {"type": "UnavailableError", "message": "m"}),
        failed(0, {"type": "InternalError", "message": "Collective ops is aborted by: x"}),
        ended(0, -6),
    ],
)
def test_an_echo_waits_for_the_death_itself(echo: Cause) -> None:
    hub = Watched()
    hub.training()
    hub.fell(echo, now=1)
    hub.tick(3.9)
    assert hub.end is None
    hub.fell(ended(1, -9), now=3.9)
    assert (
        hub.why == "PeerLost: worker 1 is lost: its training process was killed by SIGKILL (out of memory, or kill -9)"
    )


def test_tensorflows_word_for_a_lost_peer_is_a_lost_peer() -> None:
    hub = Watched()
    hub.training()
    hub.fell(failed(0, {"type": "UnavailableError", "message": "Connection reset"}), now=1)
    hub.tick(9)
    assert hub.why == "PeerLost: worker 0: UnavailableError: Connection reset"


def test_of_two_echoes_the_first_is_the_reason_if_there_is_no_better() -> None:
    hub = Watched()
    hub.training()
    hub.fell(failed(1, {"type": "PeerLost", "message": "first"}), now=1)
    hub.fell(failed(0, {"type": "PeerLost", "message": "second"}), now=2)
    hub.tick(4.1)
    assert hub.why == "PeerLost: worker 1: first"


def test_the_first_reason_is_the_last_word() -> None:
    hub = Watched()
    hub.training()
    hub.fell(lost(1, "x"), now=1)
    hub.silent(0, "y", now=1)
    hub.events(0, "done", payload={"step": "train"})
    hub.tick(1000)
    assert hub.why == "PeerLost: worker 1 is lost: x"
    assert len(hub.to(0, "end")) == len(hub.to(1, "end")) == 1


def test_only_worker_0s_end_is_the_end() -> None:
    hub = Watched()
    hub.training()
    hub.events(1, "done", payload=None)
    assert hub.end is None
    hub.events(0, "done", payload={"step": "train"})
    assert End.of(hub.to(1, "end")[0]) == hub.end == End(payload={"step": "train"})


def test_those_without_a_checkpoint_to_make_wait_for_worker_0() -> None:
    hub = Watched(3)
    hub.training()
    hub.heard(2, {"kind": "stopping"}, 1)
    for worker in (1, 2):
        hub.heard(worker, {"kind": "preempted", "entered": True, "message": "stopped after step 9"}, 2)
    assert hub.end is None
    hub.heard(0, {"kind": "preempted", "entered": True, "message": "stopped after step 9"}, 3)
    assert hub.why == "Preempted: worker 2 was told to leave (SIGTERM): stopped after step 9"


def test_one_that_left_before_its_first_step_takes_all_along() -> None:
    hub = Watched()
    hub.training()  # the order to go was sent, but crossed with this worker's end
    hub.heard(1, {"kind": "preempted", "entered": False, "message": "nothing was lost"}, 2)
    assert hub.why == "Preempted: worker 1 was told to leave (SIGTERM): nothing was lost"


def test_a_cause_is_the_same_after_its_way_over_the_line() -> None:
    for cause in (lost(1, "x", hearsay=True), failed(0, {"type": "BadInput", "message": "y"}), ended(2, -11)):
        assert End.of(End(cause=cause).message()).cause == cause


def test_worker_0_is_told_to_stop_when_another_is_told_to_leave() -> None:
    """One that only serves takes no step that would tell the others."""
    hub = Watched(3)
    hub.all_came()
    hub.heard(1, {"kind": "stopping"}, 1)
    assert hub.to(0, "order") == [], "there is nothing to keep yet"
    hub.training()
    hub.heard(2, {"kind": "stopping"}, 2)
    assert hub.to(0, "order")[-1] == {"kind": "order", "order": "stop"}
    assert hub.to(1, "order")[-1] == {"kind": "order", "order": "go"}
