"""The table of the fault matrix."""

from __future__ import annotations

from typing import Any

from tests.faults.page import render
from tests.faults.run import Row


def page(**values: Any) -> list[str]:
    row = Row("kill -9 of worker 1's training process", "mid-epoch", exits=[75, 0], detected=1.25, same=True)
    for name, value in values.items():
        setattr(row, name, value)
    return render([row.to_json()], "on two shared cores").splitlines()


def cells(lines: list[str]) -> dict[str, str]:
    heads, _, values = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| "))
    assert len(heads) == len(values)
    return dict(zip(heads, values, strict=True))


def test_a_row_says_what_became_of_a_fault() -> None:
    row = cells(page(resumed_from=120, lost_steps=17, recovered=9.5, accuracy=0.9, accuracy_undisturbed=0.91))
    assert row["All ended after"] == "1.2 s"
    assert row["Exit code"] == "75"
    assert row["Resumed from step"] == "120"
    assert row["Lost steps"] == "17"
    assert row["Trained again after"] == "9.5 s"
    assert row["Final weights"] == "same"
    assert row["Accuracy (undisturbed)"] == "0.900 (0.910)"


def test_a_training_that_went_on_has_lost_nothing() -> None:
    row = cells(page(exits=[0], detected=None))
    assert row["All ended after"] == row["Trained again after"] == "went on"
    assert row["Lost steps"] == "0"


def test_what_did_not_end_as_it_must_is_said_below_the_table() -> None:
    assert not [line for line in page() if "Not as they must be" in line]
    lines = page(same=False, distance=0.25, wrong=["the weights are not those of the undisturbed training"])
    assert cells(lines)["Final weights"] == "0.2 apart"
    assert any("undisturbed training" in line for line in lines[lines.index("## Not as they must be") :])
