"""What the chief of a training with parameter servers makes of a result whose worker died before it was copied."""

from __future__ import annotations

import time
from typing import Any

import pytest
import tensorflow as tf

from tasks.training.parameter_server import network
from tasks.training.parameter_server.network import Network

TARGET = "Additional GRPC error information from remote target"
WORKER = f"{TARGET} /job:worker/replica:0/task:1/device:CPU:0 while calling /tensorflow.eager.EagerService/Enqueue"
SERVER = f"{TARGET} /job:ps/replica:0/task:0 while calling /tensorflow.eager.EagerService/Enqueue"


class HandedOut:
    """A result that fails to arrive as often as there are errors."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def fetch(self) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return [2.0, 0.5], 1


def unavailable(message: str) -> Exception:
    return tf.errors.UnavailableError(None, None, message)


def test_a_result_lost_with_its_worker_is_waited_for_until_another_made_it() -> None:
    errors = (
        unavailable(f"recvmsg:Connection reset by peer\n{WORKER}"),
        tf.errors.AbortedError(None, None, f"Session was not found\n{WORKER}"),
        tf.errors.InvalidArgumentError(None, None, "Unable to find the relevant tensor remote_handle: Op ID: 7"),
    )
    measured = Network.fetch(HandedOut(*errors))
    assert (measured.row, measured.staleness) == ([2.0, 0.5], 1)


@pytest.mark.parametrize(
    "error",
    [
        unavailable(f"failed to connect to all addresses\n{SERVER}"),
        unavailable(f"failed to connect to all addresses\n{SERVER}\n{WORKER}"),
        unavailable("nobody says who"),
        tf.errors.InvalidArgumentError(None, None, f"Incompatible shapes: [2] vs. [3]\n{WORKER}"),
    ],
)
def test_a_lost_server_or_a_step_that_cannot_be_computed_is_told_at_once(error: Exception) -> None:
    handed_out = HandedOut(error)
    with pytest.raises(type(error)):
        Network.fetch(handed_out)
    assert not handed_out.errors


def test_a_step_that_took_long_before_its_worker_was_lost_is_waited_for_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "_OTHERS_TAKE_OVER", 0.2)

    class Long(HandedOut):
        def fetch(self) -> Any:
            if len(self.errors) == 2:
                time.sleep(0.3)
            return super().fetch()

    assert Network.fetch(Long(unavailable(WORKER), unavailable(WORKER))).staleness == 1


def test_a_worker_whose_work_nobody_takes_over_is_lost_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_OTHERS_TAKE_OVER", 0.2)
    with pytest.raises(tf.errors.UnavailableError, match="/job:worker"):
        Network.fetch(HandedOut(*[unavailable(WORKER)] * 1000))
