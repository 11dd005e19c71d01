"""The pruners of a search, told of trials one after another: who falls behind is ended, who leads never is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.config.search import Pruning
from tasks.searching.study import Record, Referee

EPOCHS, TRIALS = 9, 24
PRUNERS = {"median": {"startup": 2, "warmup": 1}, "hyperband": {"least": 1, "reduction": 3}}


def trials(by: str, *, forgetful: bool = False) -> list[Record]:
    """Every other trial is good, and each a little better than the one before it; ``forgetful``: no notes are kept."""
    records: list[Record] = []
    for number in range(TRIALS):
        told: dict[str, Any] = {"by": by, **PRUNERS[by]}
        referee = Referee(Pruning.model_validate(told), "maximize", EPOCHS, number, records)
        quality = (0.1 if number % 2 else 0.5) + number * 0.001
        ended = any(referee.ends(epoch, quality + epoch * 0.01) for epoch in range(1, EPOCHS))
        state, value = ("pruned", None) if ended else ("complete", quality)
        record = Record(number, {}, state, value, dict(referee.seen), referee.attributes)  # type: ignore[arg-type]
        # As the next trial reads it from the manifest.
        records.append(Record.from_json(replace(record, attributes={} if forgetful else record.attributes).to_json()))
    return records


@pytest.mark.parametrize(("by", "least", "points"), [("median", 10, {2}), ("hyperband", 7, {1, 3})])
def test_trials_that_fall_behind_are_ended_and_no_other(by: str, least: int, points: set[int]) -> None:
    ended = [record for record in trials(by) if record.state == "pruned"]
    assert len(ended) >= least
    assert all(record.number % 2 for record in ended), "a good one was ended"
    assert {max(record.seen) for record in ended} == points, "as soon as it shows, and at these points alone"


def test_hyperband_judges_by_the_notes_of_the_trials_before() -> None:
    assert {record.state for record in trials("hyperband", forgetful=True)} == {"complete"}
