"""Whatever of a gang is killed or hangs, every other worker ends with an error that names it, and nothing is left."""

from __future__ import annotations

import os
import signal

import pytest

from tasks.errors import BadInput, NightshiftError, PeerLost
from tests.gang.gang import Gang, MakeGang, alive, wait_until

LOST = PeerLost.exit_code
PLACES = ["start", "restore", "step9", "export"]


def ended_in(gang: Gang, code: int, *words: str, without: int | None = None) -> None:
    """Every supervisor (but the killed one) ends with ``code`` and an error that has these words."""
    for worker, ended in enumerate(gang.end()):
        if worker != without:
            assert ended.code == code, ended.log
            for word in words:
                assert word in ended.error


def test_an_undisturbed_gang_ends_with_worker_0s_result_in_every_worker(make_gang: MakeGang) -> None:
    ended = make_gang(workers=3).start().end()
    assert [each.code for each in ended] == [0, 0, 0]
    assert [each.result["counts"] for each in ended] == [{"steps": 10}] * 3
    assert "child 2 is here" in ended[2].log, "a child's log is its supervisor's"
    assert "a library prints" in ended[2].log, "what a library prints is log, not protocol"


@pytest.mark.parametrize(
    ("worker", "at"), [(worker, at) for worker in (0, 1) for at in PLACES if (worker, at) != (1, "export")]
)
def test_kill_9_of_a_child_is_the_end_of_all_and_is_named(make_gang: MakeGang, worker: int, at: str) -> None:
    gang = make_gang({f"{worker}.{at}": "hang"}).start()
    os.kill(gang.child(worker, at), signal.SIGKILL)
    ended_in(gang, LOST, f"worker {worker} is lost", "killed by SIGKILL (out of memory, or kill -9)")


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize("at", PLACES)
def test_kill_9_of_a_supervisor_takes_its_child_and_ends_the_others(make_gang: MakeGang, worker: int, at: str) -> None:
    place = 0 if at == "export" else worker
    gang = make_gang({f"{place}.{at}": "hang"}).start()
    gang.child(place, at)
    gang.signal(worker, signal.SIGKILL)
    ended_in(gang, LOST, f"worker {worker} is lost: its supervisor at 127.0.0.1:", "is gone", without=worker)
    wait_until(lambda: not gang.leftovers(), "no child is left")


def test_a_worker_with_nothing_left_to_do_may_lose_its_child(make_gang: MakeGang) -> None:
    gang = make_gang({"0.export": "hold"}).start()
    child = gang.child(1, "rest")
    gang.says(1, "done")
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not alive(child), "the child is dead")
    gang.release()
    assert [each.code for each in gang.end()] == [0, 0]


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (["BadInput", "no such label"], BadInput.exit_code, "BadInput: worker 1: no such label"),
        (["StoreError", "no answer"], NightshiftError.exit_code, "StoreError: worker 1: no answer"),
        ("crash", NightshiftError.exit_code, "NightshiftError: worker 1: ValueError: no such layer"),
        ("exit", LOST, "PeerLost: worker 1 is lost: its training process ended with exit code 9 and said nothing"),
        ("garble", LOST, "PeerLost: worker 1 is lost: its training process does not keep to the protocol: no JSON"),
    ],
)
@pytest.mark.parametrize("at", ["start", "step8"])
def test_a_childs_own_end_is_everybodys(make_gang: MakeGang, fault: object, code: int, words: str, at: str) -> None:
    ended_in(make_gang({f"1.{at}": fault}).start(), code, words)


def test_an_error_that_only_echoes_a_death_gives_way_to_the_death(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step9": "hang", "collective": 0.2}, settle=50).start()
    gang.says(0, "worker fails")
    os.kill(gang.child(1, "step9"), signal.SIGKILL)
    ended_in(gang, LOST, "worker 1 is lost", "SIGKILL")


def test_an_echo_that_nobody_explains_is_the_reason_in_the_end(make_gang: MakeGang) -> None:
    ended_in(
        make_gang({"1.step9": "hang", "collective": 0.2}, settle=0.3).start(), LOST, "worker 0: no answer in step 9"
    )


def test_a_stopped_child_is_lost_and_named(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step9": "hang"}).start()
    os.kill(gang.child(1, "step9"), signal.SIGSTOP)
    ended_in(gang, LOST, "worker 1 is lost", "its training process was stopped (SIGSTOP)")


def test_a_child_that_goes_on_in_time_is_not_lost(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step9": "hold"}, stopped=50).start()
    child = gang.child(1, "step9")
    os.kill(child, signal.SIGSTOP)
    gang.release()
    os.kill(child, signal.SIGCONT)
    assert [each.code for each in gang.end()] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("worker", [0, 1])
def test_a_stopped_supervisor_is_missed_by_the_others_and_knows_itself_when_it_goes_on(
    make_gang: MakeGang, worker: int
) -> None:
    gang = make_gang({"1.step9": "hang"}, silence=2).start()
    gang.child(1, "step9")
    gang.signal(worker, signal.SIGSTOP)
    (other,) = gang.end(1 - worker)
    assert other.code == LOST
    assert f"worker {worker} is lost: its supervisor at 127.0.0.1:" in other.error
    assert "not a word for" in other.error
    gang.signal(worker, signal.SIGCONT)
    (stopped,) = gang.end(worker)
    assert stopped.code == LOST
    assert f"worker {worker} is lost" in stopped.error
    assert f"worker {1 - worker} is lost" not in stopped.error


@pytest.mark.slow
def test_a_start_up_that_hangs_ends_and_names_the_worker_that_is_behind(make_gang: MakeGang) -> None:
    gang = make_gang({"1.restore": "hang"}, startup=3).start()
    ended_in(gang, LOST, "worker 1 is lost: no first step", "was restoring its checkpoint")


def test_steps_that_hang_end_and_every_log_says_where(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step9": "hang"}, step=1).start()
    ended = gang.end()
    for each in ended:
        assert each.code == LOST
        assert "one of workers 0, 1 is lost: no progress for 1 s (worker 0 was after step" in each.error
    assert "in all_workers" in ended[0].log, "the stacks of a child that waits for its peer"
    assert "in fault" in ended[1].log, "the stacks of the child that hangs"


@pytest.mark.slow
def test_a_worker_that_says_it_is_alive_keeps_the_gang_from_being_given_up(make_gang: MakeGang) -> None:
    gang = make_gang({"0.export": "alive"}, step=1.5).start()
    assert [each.code for each in gang.end()] == [0, 0]


def test_what_a_child_started_ends_with_the_gang(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step8": "orphan"}).start()
    assert [each.code for each in gang.end()] == [0, 0]
    assert not alive(gang.child(1, "orphan"))


def test_workers_that_restored_different_weights_never_train(make_gang: MakeGang) -> None:
    gang = make_gang({"2.digest": "fed"}, workers=3).start()
    ended_in(gang, NightshiftError.exit_code, "worker 2 restored another state than the rest", "step 7, weights fed")
    assert not list(gang.folder.glob("*.step7"))
