"""The table of the fault matrix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.faults.__main__ import Results, write_page
from tests.faults.fault import FAULTS
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


def test_a_place_without_a_row_is_said_to_be_unmeasured_and_the_other_when_it_was() -> None:
    text = "\n".join(page(where="kubernetes", measured="2026-11-02"))
    assert "Not yet measured: the faults on one machine" in text
    assert "The faults in pods were measured on 2026-11-02." in text
    assert "Not yet measured: the faults in pods" in "\n".join(page())


def test_a_fault_that_was_never_carried_out_has_not_gone_on() -> None:
    row = cells(page(exits=[], detected=None, same=None, wrong=["no write in export"]))
    assert {row[name] for name in ("All ended after", "Exit code", "Lost steps", "Trained again after")} == {"-"}


IN_PODS = Row("pod of worker 1 deleted", "mid-epoch", "kubernetes", exits=[75, 0], detected=2.0, said="PeerLost: gone")


def test_a_place_that_was_not_measured_here_keeps_what_the_page_says_of_it(tmp_path: Path) -> None:
    path, results = tmp_path / "faults.md", Results(tmp_path / "build" / "faults.json", keep=True)
    local = [Row(fault.name, fault.moment, exits=[75, 0], detected=1.0, said="lost") for fault in FAULTS]
    local[0].wrong = ["the weights differ"]
    before = render([row.to_json() for row in local], "on two shared cores")
    path.write_text(before)
    results.replace("kubernetes", [IN_PODS.to_json()])
    assert write_page(results, path)
    after = path.read_text().splitlines()
    assert [line for line in before.splitlines() if line not in after] == [
        line for line in before.splitlines() if line.startswith("Not yet measured")
    ]
    assert sum("kubernetes" in line for line in after) == 2, "a row, and what was said"
    assert write_page(results, path)
    assert path.read_text().splitlines() == after


def test_a_part_of_the_local_faults_alone_is_no_page(tmp_path: Path) -> None:
    results = Results(tmp_path / "build" / "faults.json", keep=True)
    results.add(Row(FAULTS[0].name, FAULTS[0].moment).to_json())
    assert not write_page(results, tmp_path / "faults.md")
    assert not (tmp_path / "faults.md").exists()


def test_a_fault_that_failed_now_has_not_passed_because_it_did_before(tmp_path: Path) -> None:
    results = Results(tmp_path / "build" / "faults.json", keep=True)
    results.add(IN_PODS.to_json())
    results.replace("kubernetes", [Row("another", "mid-epoch", "kubernetes", wrong=["no"]).to_json()])
    assert [row["name"] for row in json.loads((tmp_path / "build" / "faults.json").read_text())] == ["another"]
