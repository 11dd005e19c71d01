"""A whole gang as processes of one machine, started, heard and ended by one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tasks.errors import BadInput, NightshiftError, PeerLost, Preempted
from tests.gang.gang import TWIN, Ended, Gang, MakeGang, alive, wait_until

LOST, LEFT, BAD = PeerLost.exit_code, Preempted.exit_code, BadInput.exit_code


def end(gang: Gang) -> Ended:
    """How the twin ended, leaving nobody."""
    (ended,) = gang.end(TWIN)
    assert not gang.leftovers()
    return ended


def supervisor_of(child: int) -> int:
    return int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])


def test_all_workers_run_and_their_logs_are_told_apart(make_gang: MakeGang) -> None:
    ended = end(make_gang(workers=3).start_twin())
    assert ended.code == 0, ended.log
    assert ended.result == {"step": "train", "corpus": "docs", "manifest": "file:///m", "counts": {"steps": 10}}
    for worker in range(3):
        assert f"[worker {worker}] child {worker} is here\n" in ended.log


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("who", ["child", "supervisor"])
def test_the_first_death_is_the_end_of_all_and_is_named(make_gang: MakeGang, worker: int, who: str) -> None:
    gang = make_gang({f"{worker}.step9": "hang"}).start_twin()
    child = gang.child(worker, "step9")
    os.kill(child if who == "child" else supervisor_of(child), signal.SIGKILL)
    ended = end(gang)
    assert ended.code == LOST, ended.log
    assert f"worker {worker} is lost" in ended.error
    assert "SIGKILL" in ended.error


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (["BadInput", "no such label"], BAD, "BadInput: worker 1: no such label"),
        ("crash", NightshiftError.exit_code, "NightshiftError: worker 1: ValueError: no such layer"),
    ],
)
def test_the_twin_ends_as_its_workers_do(make_gang: MakeGang, fault: object, code: int, words: str) -> None:
    ended = end(make_gang({"1.start": fault}).start_twin())
    assert ended.code == code, ended.log
    assert ended.error == words


def test_told_to_leave_it_tells_all_and_waits_for_their_checkpoint(make_gang: MakeGang) -> None:
    gang = make_gang({"steps": 10**9, "0.checkpoint": "hold"}).start_twin()
    gang.child(1, "step9")
    gang.signal(TWIN, signal.SIGTERM)
    gang.child(0, "checkpoint")
    gang.signal(TWIN, signal.SIGTERM)
    gang.release()
    ended = end(gang)
    assert ended.code == LEFT, ended.log
    assert "all workers stopped after step " in ended.error


@pytest.mark.slow
def test_a_supervisor_that_cannot_end_is_killed(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step9": "hang"}, silence=2).start_twin(patience=0.3)
    supervisor = supervisor_of(gang.child(1, "step9"))
    os.kill(supervisor, signal.SIGSTOP)
    ended = end(gang)
    assert ended.code == LOST, ended.log
    assert "worker 1 is lost: its supervisor at 127.0.0.1:" in ended.error
    assert not alive(supervisor)


@pytest.mark.slow
def test_a_supervisor_that_sleeps_past_the_result_does_not_keep_it(make_gang: MakeGang) -> None:
    gang = make_gang({"0.step9": "hold"}).start_twin(patience=0.3)
    gang.child(0, "step9")
    supervisor = supervisor_of(gang.child(1, "step9"))
    os.kill(supervisor, signal.SIGSTOP)
    gang.release()
    ended = end(gang)
    assert ended.code == 0, ended.log
    assert ended.result["manifest"] == "file:///m"
    assert "did not end well after that" in ended.log
    assert not alive(supervisor)


def test_kill_9_of_the_twin_leaves_nobody(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step9": "hang"}).start_twin()
    supervisor = supervisor_of(gang.child(1, "step9"))
    gang.signal(TWIN, signal.SIGKILL)
    wait_until(lambda: not gang.leftovers() and not alive(supervisor), "all are dead")


def test_what_a_child_started_ends_with_the_twin_though_its_supervisor_was_killed(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step8": "orphan", "1.step9": "hang"}).start_twin()
    os.kill(supervisor_of(gang.child(1, "step9")), signal.SIGKILL)
    assert end(gang).code == LOST
    assert not alive(gang.child(1, "orphan"))


def test_a_supervisor_that_ends_without_a_word_is_quoted_by_its_exit_code(make_gang: MakeGang) -> None:
    gang = make_gang()
    says = {0: "print('{'); raise SystemExit(4)", 1: "import time; time.sleep(600)"}
    gang.command = lambda worker: [sys.executable, "-S", "-c", says[worker]]  # type: ignore[method-assign]
    ended = end(gang.start_twin())
    assert ended.error == "NightshiftError: worker 0 ended with exit code 4; see its log"
