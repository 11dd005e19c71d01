"""A gang that is told to leave does so in order: at once before the first step, after a checkpoint from then on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tasks.errors import PeerLost, Preempted
from tests.gang.gang import Gang, MakeGang

LOST, LEFT = PeerLost.exit_code, Preempted.exit_code
ENDLESS = 10**9


def all_left(gang: Gang, *words: str) -> None:
    for ended in gang.end():
        assert ended.code == LEFT, ended.log
        assert ended.error.startswith("Preempted: ")
        for word in words:
            assert word in ended.error


@pytest.mark.parametrize("worker", [0, 1])
def test_a_worker_that_nobody_met_yet_leaves_alone(make_gang: MakeGang, worker: int) -> None:
    gang = make_gang().start(worker)
    gang.says(worker, "looking for the others")
    gang.signal(worker, signal.SIGTERM)
    all_left(gang, f"worker {worker} was told to leave (SIGTERM): it had not begun to train")


@pytest.mark.parametrize("worker", [0, 1])
def test_leaving_while_a_worker_is_still_awaited_is_the_end_of_those_who_came(make_gang: MakeGang, worker: int) -> None:
    gang = make_gang(workers=3).start(0, 1)
    gang.says(1, "met worker 0")
    gang.signal(worker, signal.SIGTERM)
    all_left(gang, f"worker {worker} was told to leave (SIGTERM): it had not begun to train")


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("at", ["start", "restore"])
def test_leaving_in_start_up_is_at_once(make_gang: MakeGang, worker: int, at: str) -> None:
    gang = make_gang({f"{worker}.{at}": "hang"}).start()
    gang.child(worker, at)
    gang.signal(worker, signal.SIGTERM)
    all_left(gang, f"worker {worker} was told to leave (SIGTERM): it had not begun to train, so nothing was lost")


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_leaving_in_training_is_after_a_checkpoint_of_a_step_that_all_made(
    make_gang: MakeGang, worker: int, number: int
) -> None:
    gang = make_gang({"steps": ENDLESS}).start()
    gang.child(worker, "step9")
    gang.signal(worker, number)
    all_left(gang, f"worker {worker} was told to leave (SIGTERM): all workers stopped after step ")
    assert "saved {'step': " in gang.log(0)


def test_all_may_be_told_to_leave_at_once(make_gang: MakeGang) -> None:
    gang = make_gang({"steps": ENDLESS}, workers=3).start()
    gang.child(2, "step9")
    for worker in range(3):
        gang.signal(worker, signal.SIGTERM)
    all_left(gang, "all workers stopped after step ")


def test_a_second_sigterm_does_not_cut_the_checkpoint_short(make_gang: MakeGang) -> None:
    gang = make_gang({"steps": ENDLESS, "0.checkpoint": "hold"}).start()
    gang.child(1, "step9")
    for worker in (0, 1):
        gang.signal(worker, signal.SIGTERM)
    gang.child(0, "checkpoint")
    for worker in (0, 1, 0, 1):
        gang.signal(worker, signal.SIGTERM)
    gang.release()
    all_left(gang)
    assert "saved {'step': " in gang.log(0)


@pytest.mark.parametrize("worker", [0, 1])
def test_a_model_that_is_being_exported_is_finished(make_gang: MakeGang, worker: int) -> None:
    gang = make_gang({"0.export": "hold"}).start()
    gang.child(0, "export")
    gang.says(1, "done")
    gang.signal(worker, signal.SIGTERM)
    gang.says(worker, "told to leave")
    gang.release()
    assert [ended.code for ended in gang.end()] == [0, 0]


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("at", ["step9", "export"])
def test_a_child_that_does_not_heed_it_is_killed_in_the_end(make_gang: MakeGang, worker: int, at: str) -> None:
    place = 0 if at == "export" else worker
    gang = make_gang({f"{place}.{at}": "hang"}, grace=0.5).start()
    gang.child(place, at)
    gang.signal(worker, signal.SIGTERM)
    for ended in gang.end():
        assert ended.code == LOST, ended.log
        assert f"worker {worker} is lost: it was told to leave (SIGTERM) and had made no checkpoint" in ended.error


def test_a_death_in_the_last_checkpoint_is_no_orderly_end(make_gang: MakeGang) -> None:
    gang = make_gang({"steps": ENDLESS, "0.checkpoint": "hang"}).start()
    gang.child(1, "step9")
    gang.signal(1, signal.SIGTERM)
    os.kill(gang.child(0, "checkpoint"), signal.SIGKILL)
    for ended in gang.end():
        assert ended.code == LOST, ended.log
        assert "worker 0 is lost: its training process was killed by SIGKILL" in ended.error


UNSHARE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")


def can_unshare() -> bool:
    return bool(shutil.which("unshare")) and subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="no process namespaces for this user: process 1 is tried in pods only")
def test_process_1_of_a_container_hears_sigterm_and_lays_orphans_to_rest(make_gang: MakeGang) -> None:
    gang = make_gang({"steps": ENDLESS, "0.step8": "zombie", "1.step8": "zombie"})
    gang.start(wrapper=UNSHARE)
    for worker in (0, 1):
        gang.child(worker, "buried")  # says so once the orphan's process id is gone from /proc
    outer = gang.running[1].pid
    os.kill(int(Path(f"/proc/{outer}/task/{outer}/children").read_text()), signal.SIGTERM)
    all_left(gang, "worker 1 was told to leave (SIGTERM): all workers stopped after step ")
