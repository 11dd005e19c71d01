"""Is a string a cron expression? Checked here because Airflow would say so only while it builds every DAG."""

from __future__ import annotations

import re
from datetime import timedelta

from croniter import CroniterBadDateError, croniter

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of month", 1, 31, []),
    ("month", 1, 12, ["", *_MONTHS]),
    ("day of week", 0, 7, _DAYS),
)
_ITEM = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")


def check_cron(expression: str) -> str:
    """The expression itself, five fields of numbers, names, lists, ranges and steps.

    Raises:
        ValueError: says which field is wrong.
    """
    parts = expression.split()
    if len(parts) != len(_FIELDS):
        raise ValueError("expected five fields: minute hour day-of-month month day-of-week, as in 0 0 * * *")
    for part, (name, low, high, words) in zip(parts, _FIELDS, strict=True):
        for item in part.split(","):
            match = _ITEM.fullmatch(item)
            ends = [_number(end, words) for end in match.groups()[:2] if end is not None] if match else [None]
            if not match or any(end is None or not low <= end <= high for end in ends) or match[3] == "0":
                raise ValueError(f"{item!r} is no {name}: expected {low}-{high}, *, a list, a range or a step")
    try:
        croniter(expression).get_next()
    except CroniterBadDateError:
        raise ValueError("never fires: none of those months has such a day") from None
    return expression


def last_tick(expression: str) -> timedelta:
    """The last time of day, from midnight, at which a right expression fires."""
    minute, hour = (_last(part, high) for part, (_, _, high, _) in zip(expression.split(), _FIELDS[:2], strict=False))
    return timedelta(hours=hour, minutes=minute)


def _last(part: str, high: int) -> int:
    """Largest value of the minutes or the hours."""
    return max(_last_of_item(item, high) for item in part.split(","))


def _last_of_item(item: str, high: int) -> int:
    match = _ITEM.fullmatch(item)
    assert match, f"{item!r} was not checked"
    first, end, step = match[1], match[2], int(match[3] or 1)
    start = int(first or 0)
    stop = high if end or match[3] or not first else start
    if end and int(end) > start:  # else it goes on past the highest value: 22-2, and Airflow takes 7-7 for all
        stop = int(end)
    return start + (stop - start) // step * step


def _number(text: str, words: list[str]) -> int | None:
    if text.isdigit():
        return int(text)
    return words.index(text.lower()) if text and text.lower() in words else None
