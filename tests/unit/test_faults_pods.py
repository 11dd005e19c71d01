"""What the fault matrix in pods makes of a task's log and of a test that failed; without a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plugins.errors import StepKilled
from tasks.errors import BadInput, PeerLost
from tests.faults.run import Row
from tests.faults.said import error_in, exit_code_of
from tests.kubernetes import conftest


def test_a_failed_test_of_a_fault_is_a_row_that_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHIFT_FAULT_ROWS", str(tmp_path / "rows"))
    struck: Any = SimpleNamespace(path=Path("test_faults.py"), name="test_x[0]", stash=pytest.Stash())
    struck.stash[conftest.ROW] = Row("SIGSTOP", "mid-epoch", "kubernetes")
    unbegun: Any = SimpleNamespace(path=Path("test_faults.py"), name="test_y", stash=pytest.Stash())
    for item in (struck, unbegun):
        call: Any = SimpleNamespace(excinfo=SimpleNamespace(value=AssertionError("not within 60 s")))
        making = conftest.pytest_runtest_makereport(item, call)
        next(making)
        with pytest.raises(StopIteration):
            making.send(SimpleNamespace(failed=True))  # type: ignore[arg-type]
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert [(row["name"], row["passed"]) for row in rows] == [("SIGSTOP", False), ("test_y", False)]
    assert rows[0]["wrong"] == ["not within 60 s"]


@pytest.mark.parametrize(("error", "code"), [(StepKilled, 1), (PeerLost, 75), (BadInput, 2)])
def test_the_exit_code_is_that_of_the_errors_type(error: type[Exception], code: int) -> None:
    log = f"ValueError: a cause\n{error.__name__}: worker 0 was killed: out of memory\n[worker 0] BadInput: no"
    said = error_in(log)
    assert said == f"{error.__name__}: worker 0 was killed: out of memory"
    assert exit_code_of(said) == code
