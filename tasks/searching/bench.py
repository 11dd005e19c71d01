"""A trial's referee beside a training in another process: what it is made of, and what it saw, as files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.config.search import Pruning
from tasks.errors import BadInput, Outpaced

if TYPE_CHECKING:
    from tasks.searching.study import Direction, Record, Referee

VARIABLE = "NIGHTSHIFT_TRIAL"
"""Names the file that tells a worker that it trains for a trial which may be ended."""
_SEEN = ".seen"


def seat(
    path: Path, pruning: Pruning, direction: Direction, last: int, number: int, before: Sequence[Record]
) -> dict[str, str]:
    """Write what a referee is made of; returns the variable by which a worker finds it."""
    value = {
        "pruning": pruning.model_dump(mode="json"),
        "direction": direction,
        "last": last,
        "number": number,
        "before": [record.to_json() for record in before],
    }
    path.write_text(json.dumps(value), encoding="utf-8")
    return {VARIABLE: str(path)}


def seen(path: Path) -> tuple[dict[int, float], dict[str, Any]]:
    """What the referee of that file was told and noted; nothing before it was told anything."""
    told = path.with_suffix(_SEEN)
    if not told.exists():
        return {}, {}
    value = json.loads(told.read_text(encoding="utf-8"))
    return {int(step): each for step, each in value["seen"]}, value["attributes"]


def referee_of(env: Mapping[str, str]) -> Callable[[Mapping[str, Any]], None] | None:
    """What a mirrored training tells of each epoch, if it is a trial's: raises ``Outpaced`` when that is to end."""
    if not env.get(VARIABLE):
        return None
    from tasks.searching.study import Record, Referee

    path = Path(env[VARIABLE])
    value = json.loads(path.read_text(encoding="utf-8"))
    pruning = Pruning.model_validate(value["pruning"])
    before = [Record.from_json(each) for each in value["before"]]
    referee = Referee(pruning, value["direction"], value["last"], value["number"], before)

    def watch(entry: Mapping[str, Any]) -> None:
        found = entry["validation"].get(pruning.watch)
        if found is None:
            raise BadInput(
                f"search.pruner.watch {pruning.watch!r} is not measured; the recipe measures: "
                f"{', '.join(entry['validation']) or 'nothing, as no row of the validation split can be judged'}"
            )
        rising = not pruning.watch.endswith("loss")
        judge(referee, entry["epoch"], found if rising == (value["direction"] == "maximize") else -found, path)

    return watch


def judge(referee: Referee, step: int, value: float, path: Path) -> None:
    """Tell the referee, and keep what it saw.

    Raises:
        BadInput: the value is no number.
        Outpaced: the trial ends here.
    """
    if not math.isfinite(value):
        raise BadInput(f"what the pruner watches is {value} after {step} of the trial's epochs or shards")
    ends = referee.ends(step, value)
    told = {"seen": [[at, each] for at, each in referee.seen.items()], "attributes": referee.attributes}
    path.with_suffix(_SEEN).write_text(json.dumps(told), encoding="utf-8")
    if ends:
        raise Outpaced(f"the trial falls behind the ones before it after {step} of its epochs or shards")
