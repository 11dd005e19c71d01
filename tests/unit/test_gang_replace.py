"""A worker whose training process holds nothing may lose it: another one takes its place, and the gang goes on."""

from __future__ import annotations

import os
import signal

from tasks.errors import PeerLost
from tests.gang.gang import MakeGang


def test_a_replaceable_child_that_dies_is_started_again_and_nobody_else_hears(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step8": "once"}, workers=3)
    gang.replaceable = (1,)
    ended = gang.start().end()
    assert [each.code for each in ended] == [0, 0, 0], ended[1].log
    assert "another training process takes its place" in ended[1].log
    assert "exit code 9" in ended[1].log
    assert "another training process" not in ended[0].log + ended[2].log


def test_a_replaceable_child_that_is_stopped_is_replaced_too(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step8": "hold"})
    gang.replaceable = (1,)
    gang.start()
    os.kill(gang.child(1, "step8"), signal.SIGSTOP)
    gang.says(1, "another training process takes its place")
    gang.release()
    ended = gang.end()
    assert [each.code for each in ended] == [0, 0]
    assert "was stopped (SIGSTOP)" in ended[1].log


def test_before_training_has_begun_it_is_the_end_of_all(make_gang: MakeGang) -> None:
    gang = make_gang({"1.restore": "once"})
    gang.replaceable = (1,)
    ended = gang.start().end()
    assert [each.code for each in ended] == [PeerLost.exit_code] * 2
    assert "worker 1 is lost" in ended[0].error


def test_a_child_whose_followers_all_die_at_once_is_the_end_of_all(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step8": "once", "1.start": "later"})
    gang.replaceable = (1,)
    ended = gang.start().end()
    assert [each.code for each in ended] == [PeerLost.exit_code] * 2
    assert "worker 1 is lost" in ended[0].error
    assert ended[1].log.count("another training process takes its place") == 5
