"""``docs/faults.md``: what became of every fault, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_HEAD = (
    "Fault",
    "When",
    "Where",
    "All ended after",
    "Exit code",
    "Resumed from step",
    "Lost steps",
    "Trained again after",
    "Left over",
    "Final weights",
    "Accuracy (undisturbed)",
)

_INTRO = """# Faults

What a mirrored training survives, measured by `make faults` ({machine}). This page is generated: run
it again rather than edit it.

Each row is a small `text_encoder` training on an S3 server. It is struck down as the row says, and started again
as Airflow does it: the same command once more. *All ended after* counts from the fault until the last process (or
pod) of the struck generation was gone; *Trained again after* from the fault until the first step of the next
generation. *Lost steps* are those between the checkpoint that was resumed from and about the step of the fault.
*Left over* are processes or pods that outlived their generation. *Same* means that every file of the model has the
checksum of the undisturbed training's; after a change of the number of workers, sums of floats are made in another
order, and the largest difference of a weight is given instead. Those trainings have no dropout: each replica draws
masks of its own, so another number of workers trains on other masks, and ends in weights as good but not as near.
"""


def render(rows: Sequence[Mapping[str, Any]], machine: str) -> str:
    """The page, of rows as ``Row.to_json`` gives them."""
    lines = [_INTRO.format(machine=machine), _line(_HEAD), _line("---" for _ in _HEAD)]
    lines += [_line(_cells(row)) for row in rows]
    failed = [row for row in rows if not row["passed"]]
    if failed:
        lines += ["", "## Not as they must be", ""]
        lines += [f"- **{row['name']}, {row['moment']}**: {'; '.join(row['wrong'])}" for row in failed]
    lines += ["", "## What the struck generations said", ""]
    lines += [f"- {row['name']}, {row['moment']} ({row['where']}): {row['said']}" for row in rows if row["said"]]
    return "\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any]) -> Iterable[str]:
    went_on = row["detected"] is None
    yield row["name"]
    yield row["moment"]
    yield row["where"]
    yield "went on" if went_on else f"{row['detected']:.1f} s"
    yield "0" if went_on else str(row["exits"][0])
    yield _shown(row["resumed_from"])
    yield _shown(0 if went_on else row["lost_steps"])
    yield "went on" if went_on else _shown(row["recovered"], " s")
    yield str(row["orphans"])
    yield "same" if row["same"] else "none" if row["distance"] is None else f"{row['distance']:.1g} apart"
    if row["accuracy"] is None:
        yield "-"
    else:
        yield f"{row['accuracy']:.3f} ({row['accuracy_undisturbed']:.3f})"


def _shown(value: Any, unit: str = "") -> str:
    return "-" if value is None else f"{value}{unit}"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
