"""Which schedules are taken, against what Airflow's own parser says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from croniter import croniter

from tasks.config.cron import check_cron, last_tick

GOOD = ["0 0 * * *", "30 2 * * mon-fri", "*/15 0-6 1,15 jan,JUL *", "0 4 * * 7", "0 0 1-10/3 * sun", "5 4 * 12 0"]
BAD = [
    "",
    "daily",
    "0 0 * *",
    "60 * * * *",
    "0 24 * * *",
    "0 0 0 * *",
    "0 0 * 13 *",
    "0 0 * * 8",
    "0 0 * foo *",
    "*/0 * * * *",
]


@pytest.mark.parametrize("expression", GOOD)
def test_a_cron_expression_is_taken_as_airflow_takes_it(expression: str) -> None:
    assert croniter.is_valid(expression)
    assert check_cron(expression) == expression


@pytest.mark.parametrize("expression", [*BAD, "0 0 * * * *", "0,, * * * *", "1- * * * *"])
def test_what_airflow_could_not_read_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"expected"):
        check_cron(expression)


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6 *"])
def test_a_schedule_that_never_fires_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="never fires"):
        check_cron(expression)


@pytest.mark.parametrize(
    "times",
    ["0 0", "30 22", "* *", "*/7 */5", "5,50 1,9-17", "0 22-2", "0 22-4/3", "50/7 5/6", "0-30/20 7-7", "0 1,5-9/3"],
)
def test_the_last_tick_of_a_day_is_the_one_airflow_finds(times: str) -> None:
    minutes, hours = (
        [high if value == "*" else int(value) for value in field]
        for field, high in zip(croniter(f"{times} * * *").expanded[:2], (59, 23), strict=True)
    )
    assert last_tick(f"{times} * * *") == timedelta(hours=max(hours), minutes=max(minutes))
