"""Which days are ingested, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pendulum
import pytest
from airflow.exceptions import InvalidPartitionKeyError
from airflow.models.backfill import InvalidBackfillDate
from airflow.timetables.base import DagRunInfo, TimeRestriction

from plugins.timetable import NightlyTimetable

ANY_TIME = TimeRestriction(earliest=pendulum.datetime(2026, 1, 1), latest=None, catchup=False)


def nightly(cron: str = "0 0 * * *", timezone: str = "UTC", **more: Any) -> NightlyTimetable:
    return NightlyTimetable(cron, timezone=timezone, **more)


def at(monkeypatch: pytest.MonkeyPatch, *when: int) -> None:
    """Set the clock of the timetable (UTC)."""
    moment = pendulum.datetime(*when)
    monkeypatch.setattr("plugins.timetable.now", lambda zone: moment.in_timezone(zone))
    monkeypatch.setattr("airflow.timetables.trigger.utcnow", lambda: moment)


def days(timetable: NightlyTimetable, first: str, last: str) -> list[str | None]:
    """The partitions of a backfill, asked for as the API does: midnights in UTC."""
    earliest, latest = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (first, last))
    return [info.partition_key for info in timetable.iter_partition_dagrun_infos(earliest=earliest, latest=latest)]


@pytest.mark.parametrize("cron", ["0 0 * * *", "0 2 * * *", "30 23 * * *", "0 */6 * * *"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_backfill_of_five_days_is_five_partitions(cron: str, zone: str) -> None:
    assert days(nightly(cron, zone), "2026-11-01", "2026-11-05") == [f"2026-11-0{n}" for n in range(1, 6)]


def test_a_backfill_over_a_change_of_clocks_loses_no_day() -> None:
    berlin = nightly("0 2 * * *", "Europe/Berlin")  # 02:00 exists twice on 25 October and never on 29 March
    assert days(berlin, "2026-10-24", "2026-10-26") == ["2026-10-24", "2026-10-25", "2026-10-26"]
    assert days(berlin, "2026-03-28", "2026-03-30") == ["2026-03-28", "2026-03-29", "2026-03-30"]


def test_a_weekly_corpus_has_weekly_partitions() -> None:
    assert days(nightly("0 0 * * sun"), "2026-11-01", "2026-11-20") == ["2026-11-01", "2026-11-08", "2026-11-15"]


def test_a_backfill_makes_no_run_for_a_day_that_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 2026, 11, 3, 12)
    assert days(nightly(), "2026-11-02", "2026-11-30") == ["2026-11-02", "2026-11-03"]


def test_a_backfill_before_the_corpus_begins_is_refused() -> None:
    with pytest.raises(InvalidBackfillDate, match=r"2026-10-31 is before 2026-11-01"):
        days(nightly(start="2026-11-01"), "2026-10-31", "2026-11-05")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_scheduled_manual_and_backfilled_runs_of_a_day_are_one_partition(
    monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    at(monkeypatch, 2026, 11, 10, 12)
    timetable = nightly("0 2 * * *", zone, delay=1800)
    last = DagRunInfo(run_after=pendulum.datetime(2026, 11, 1), data_interval=None)
    scheduled = timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=ANY_TIME)
    assert scheduled is not None
    day = scheduled.partition_key
    assert day is not None
    moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
    (backfilled,) = timetable.iter_partition_dagrun_infos(earliest=moment, latest=moment)
    assert scheduled.partition_date == backfilled.partition_date == timetable.resolve_partition_date(day)


def test_the_night_starts_late_by_the_delay_and_keeps_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 2026, 11, 10, 0, 5)
    last = DagRunInfo(run_after=pendulum.datetime(2026, 11, 9, 1), data_interval=None)
    info = nightly(delay=3600).next_dagrun_info_v2(last_dagrun_info=last, restriction=ANY_TIME)
    assert info is not None
    assert info.run_after == pendulum.datetime(2026, 11, 10, 1)
    assert info.partition_key == "2026-11-10"


def test_a_new_corpus_waits_for_its_first_night(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 2026, 11, 10, 12)
    info = nightly().next_dagrun_info_v2(last_dagrun_info=None, restriction=ANY_TIME)
    assert info is not None
    assert info.partition_key == "2026-11-11"


def test_a_backfill_of_past_days_makes_the_newest_night_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow hands the last day of a backfill over as the last night that ran."""
    at(monkeypatch, 2026, 11, 10, 12)
    first = datetime(2026, 11, 1, tzinfo=UTC)
    (last,) = nightly().iter_partition_dagrun_infos(earliest=first, latest=first)
    info = nightly().next_dagrun_info_v2(last_dagrun_info=last, restriction=ANY_TIME)
    assert info is not None
    assert (info.partition_key, info.run_after) == ("2026-11-10", pendulum.datetime(2026, 11, 10))


def test_the_first_night_is_not_lost_when_the_file_is_read_again_just_after_midnight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at(monkeypatch, 2026, 11, 11, 0, 1)
    info = nightly().next_dagrun_info_v2(last_dagrun_info=None, restriction=ANY_TIME)
    assert info is not None
    assert info.partition_key == "2026-11-11"


def test_a_corpus_without_a_schedule_never_runs_by_itself_but_can_be_backfilled() -> None:
    by_hand = nightly(scheduled=False)
    assert by_hand.next_dagrun_info_v2(last_dagrun_info=None, restriction=ANY_TIME) is None
    assert not by_hand.can_be_scheduled
    assert days(by_hand, "2026-11-01", "2026-11-02") == ["2026-11-01", "2026-11-02"]


@pytest.mark.parametrize("key", ["2026-11-3", "2026-11", "yesterday", "2026-11-31", " 2026-11-03", "2026-11-03T00:00"])
def test_a_key_that_is_no_day_is_refused(key: str) -> None:
    with pytest.raises(InvalidPartitionKeyError):
        nightly().resolve_partition_date(key)


def test_a_run_without_a_key_is_refused_and_told_what_to_do() -> None:
    with pytest.raises(InvalidPartitionKeyError, match=r"Partition Key"):
        nightly().resolve_partition_date(None)


def test_tomorrow_is_refused_today(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 2026, 11, 10, 20)
    with pytest.raises(InvalidPartitionKeyError, match=r"has not begun"):
        nightly().resolve_partition_date("2026-11-11")
    assert nightly(timezone="Asia/Tokyo").resolve_partition_date("2026-11-11"), "in Tokyo it has begun"


def test_what_the_scheduler_reads_back_is_the_same_timetable() -> None:
    made = nightly("0 2 * * mon-fri", "Europe/Berlin", delay=60.0, start="2026-02-03", scheduled=False)
    back = NightlyTimetable.deserialize(made.serialize())
    assert back.serialize() == made.serialize()
    assert not back.can_be_scheduled
