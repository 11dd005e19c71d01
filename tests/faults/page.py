"""``docs/faults.md``: what became of every fault, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
order, and the largest difference of a weight is given instead. All trainings have dropout.
"""


_PLACES = {"local": "on one machine", "kubernetes": "in pods"}
_WRONG, _SAID = "## Not as they must be", "## What the struck generations said"


def render(rows: Sequence[Mapping[str, Any]], machine: str, before: str = "") -> str:
    """The page, of rows as ``Row.to_json`` gives them.

    ``before`` is the page that there is: a place without a row here keeps what that says of it, for it may have been
    measured on another machine.
    """
    kept = _kept(before, [where for where in _PLACES if not any(row["where"] == where for row in rows)])
    in_table = [_line(_cells(row)) for row in rows]
    wrong = [f"- **{_named(row)}**: {_flat('; '.join(row['wrong']))}" for row in rows if not row["passed"]]
    said = [f"- {_named(row)}: {_flat(row['said'])}" for row in rows if row["said"]]
    lines = [_INTRO.format(machine=machine), *_told(rows, kept), "", _line(_HEAD), _line("---" for _ in _HEAD)]
    lines += [*kept.table, *in_table] if "local" in kept.places else [*in_table, *kept.table]
    if wrong or kept.wrong:
        lines += ["", _WRONG, "", *kept.wrong, *wrong]
    lines += ["", _SAID, "", *kept.said, *said]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Kept:
    """Lines of an earlier page, of some places."""

    places: Sequence[str] = ()
    told: Sequence[str] = ()
    table: Sequence[str] = ()
    wrong: Sequence[str] = ()
    said: Sequence[str] = ()


def _kept(page: str, places: Sequence[str]) -> _Kept:
    lines = page.splitlines()
    table = [line for line in lines if line.startswith("|") and _cell(line, _HEAD.index("Where")) in places]
    if not table:
        return _Kept()
    ends = tuple(f" ({where}){mark}" for where in places for mark in (": ", "**: "))
    named = [line for line in lines if line.startswith("- ") and any(end in line for end in ends)]
    return _Kept(
        places,
        [line for line in lines if any(line.startswith(f"The faults {_PLACES[where]} were") for where in places)],
        table,
        [line for line in named if line.startswith("- **")],
        [line for line in named if not line.startswith("- **")],
    )


def _cell(line: str, number: int) -> str:
    return line.split("|")[number + 1].strip()


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['name']}, {row['moment']} ({row['where']})"


def _flat(text: str) -> str:
    """On one line, as an item of a list must be."""
    return " ".join(text.split())


def _told(rows: Sequence[Mapping[str, Any]], kept: _Kept) -> Iterable[str]:
    """Of each place, when its rows were measured: they may be of different runs."""
    yield from kept.told
    for where, place in _PLACES.items():
        if where in kept.places:
            continue
        there = [row for row in rows if row["where"] == where]
        days = sorted({row["measured"] for row in there if row.get("measured")})
        if not there:
            yield (
                f"Not yet measured: the faults {place} (`python -m tests.faults --where {where}`; "
                "in pods it needs a cluster, see [kubernetes.md](kubernetes.md))."
            )
        elif days:
            yield f"The faults {place} were measured on {days[0]}{f' to {days[-1]}' if days[1:] else ''}."


def _cells(row: Mapping[str, Any]) -> Iterable[str]:
    went_on = row["detected"] is None and row["exits"][:1] == [0]
    yield row["name"]
    yield row["moment"]
    yield row["where"]
    yield "went on" if went_on else "-" if row["detected"] is None else f"{row['detected']:.1f} s"
    yield str(row["exits"][0]) if row["exits"] else "-"
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
