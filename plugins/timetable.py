"""When an ingest runs, and which day it is for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from airflow.exceptions import InvalidPartitionKeyError
from airflow.timetables.base import DagRunInfo, TimeRestriction
from airflow.timetables.trigger import CronPartitionTimetable
from pendulum import DateTime, now

KEY_FORMAT = "%Y-%m-%d"
GRACE = timedelta(minutes=15)
"""A new corpus whose first night began so long ago still gets it: Airflow asks again whenever it reads the file."""


class NightlyTimetable(CronPartitionTimetable):
    """One partition a day: the local day on which ``cron`` fires.

    Whatever the hour of ``cron``, the partition's date is the local midnight, so that scheduled, manual
    and backfilled runs of a day are the same partition (Airflow's own timetable gives 02:00 to the
    one and 00:00 to the other, and a backfill then runs the day twice or loses its last day).

    :param cron: when the nightly run is due, in local time.
    :param timezone: name of the zone whose days are meant.
    :param delay: seconds by which the nightly run starts later; holds no worker while it waits.
    :param start: first day, ``YYYY-MM-DD``, that may be a partition.
    :param scheduled: without it no run starts by itself; manual runs and backfills still do.
    """

    def __init__(
        self, cron: str, *, timezone: str, delay: float = 0.0, start: str | None = None, scheduled: bool = True
    ) -> None:
        super().__init__(cron, timezone=timezone, key_format=KEY_FORMAT, run_immediately=GRACE)
        self._delay = timedelta(seconds=delay)
        self._start = start
        self._scheduled = scheduled
        self.can_be_scheduled = scheduled
        if not scheduled:
            self.description = "Only by hand or by a backfill"

    @property
    def summary(self) -> str:
        return f"{self._expression} ({self._timezone.name})" if self._scheduled else "by hand"

    def serialize(self) -> dict[str, Any]:
        return {
            "cron": self._expression,
            "timezone": self._timezone.name,
            "delay": self._delay.total_seconds(),
            "start": self._start,
            "scheduled": self._scheduled,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> NightlyTimetable:
        return cls(**data)

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        if not self._scheduled:
            return None
        if last_dagrun_info is None:
            # A corpus that was just added waits for its first night: today can be had by hand.
            restriction = restriction._replace(earliest=self._first_run(restriction.earliest))
            restriction = restriction._replace(catchup=True)
        info = super().next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=restriction)
        return info and info._replace(run_after=info.run_after + self._delay)

    def _first_run(self, earliest: DateTime | None) -> DateTime:
        first = self._calc_first_run()
        return max(first, self._align_to_next(earliest)) if earliest else first

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterator[DagRunInfo]:
        """One run for each day of ``[earliest, latest]`` on which ``cron`` fires and that has begun.

        Raises:
            InvalidBackfillDate: the window starts before ``start``.
        """
        from airflow.models.backfill import InvalidBackfillDate

        first = self.localize_partition_datetime(earliest).in_timezone(self._timezone).start_of("day")
        last = self.localize_partition_datetime(latest).in_timezone(self._timezone).end_of("day")
        if self._start and first.strftime(KEY_FORMAT) < self._start:
            raise InvalidBackfillDate(
                f"{first.strftime(KEY_FORMAT)} is before {self._start}, `schedule.start` of the corpus"
            )
        tick, due = self._align_to_next(first), now("UTC")
        while tick <= last:
            midnight, key = self._get_partition_info(run_date=tick)
            if midnight > due:
                return
            yield DagRunInfo(run_after=midnight, data_interval=None, partition_date=midnight, partition_key=key)
            # The next tick of another day: a cron may fire twice in one.
            tick = self._align_to_next(tick.in_timezone(self._timezone).start_of("day").add(days=1))

    def resolve_partition_date(self, partition_key: str | None) -> datetime | None:
        """The local midnight of a run's day.

        Raises:
            InvalidPartitionKeyError: no key, not a day, or a day that has not begun. Raised while a run is being
                triggered, so that the trigger form says so and no run is made.
        """
        if partition_key is None:
            raise InvalidPartitionKeyError(
                "this run has no partition key: an ingest needs to know its day, YYYY-MM-DD. In the web UI fill in "
                "`Partition Key` under `Advanced Options`, in the REST API `partition_key`; for several days create a "
                "backfill"
            )
        return super().resolve_partition_date(partition_key)

    def _decode_partition_date(self, partition_key: str) -> datetime:
        day = super()._decode_partition_date(partition_key)
        if day.strftime(KEY_FORMAT) != partition_key:
            raise InvalidPartitionKeyError(f"partition key {partition_key!r} is not a day: expected YYYY-MM-DD")
        if day > now("UTC"):
            raise InvalidPartitionKeyError(f"partition {partition_key} has not begun yet ({self._timezone.name})")
        return day

    def _get_partition_info(self, run_date: DateTime) -> tuple[DateTime, str]:
        local = run_date.in_timezone(self._timezone)
        return local.start_of("day").in_timezone("UTC"), local.strftime(KEY_FORMAT)
