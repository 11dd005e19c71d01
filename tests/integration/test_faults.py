"""The faults that happen most, on real processes and a real S3 server; `make faults` has all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.fault import Fault, named
from tests.faults.ground import Ground, ground
from tests.faults.outcome import Outcome
from tests.faults.run import carry_out, undisturbed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

SUBSET = named(
    ("kill -9 of worker 0's training process", "mid-epoch"),
    ("kill -9 of worker 1's training process", "mid-epoch"),
    ("SIGSTOP of worker 1's training process", "mid-epoch"),
    ("SIGTERM to worker 1", "mid-epoch"),
    ("newest checkpoint corrupt", "mid-epoch"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture(scope="module")
def whole(made: Ground) -> Outcome:
    """The training that nothing happened to."""
    return undisturbed(made.place("undisturbed"))


@pytest.mark.parametrize("fault", SUBSET, ids=lambda fault: f"{fault.name}, {fault.moment}")
def test_a_training_struck_down_ends_in_the_same_weights(fault: Fault, made: Ground, whole: Outcome) -> None:
    row = carry_out(fault, made.place("struck"), whole)
    print(row)
    assert row.passed, "\n".join(row.wrong)
    assert row.exits[-1] == 0 and len(row.exits) == 2, "one retry is enough"
