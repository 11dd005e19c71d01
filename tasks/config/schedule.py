"""When a corpus is ingested and trained on: the section ``schedule``."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from tasks.config.cron import check_cron, last_tick
from tasks.section import Duration, Section


class Schedule(Section):
    """When the nightly ingest runs. The partition is the local day at which ``cron`` fires."""

    cron: str = Field("0 0 * * *", description="cron in local time; midnight keeps partitions one a day")
    timezone: str = Field("UTC", description="whose local time, as in Europe/Berlin")
    start: date = Field(date(2026, 1, 1), description="first day a backfill may name")
    delay: Duration = Field("0s", description="added to each tick of cron; the run must start on the tick's own day")  # type: ignore[assignment]
    retrain: str = Field("on_data", description="on_data, manual, or a cron")
    patience: Duration = Field("2h", description="how long a retraining waits for the days being ingested")  # type: ignore[assignment]

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        return check_cron(value)

    @field_validator("retrain")
    @classmethod
    def _is_known_or_cron(cls, value: str) -> str:
        return value if value in ("on_data", "manual") else check_cron(value)

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, OSError, ValueError) as error:
            raise ValueError("not a time zone: expected a name as in UTC or Europe/Berlin") from error
        return value

    @model_validator(mode="after")
    def _starts_on_its_own_day(self) -> Self:
        """A live crawl records its own day: one that starts after midnight is refused, night after night."""
        left = timedelta(days=1) - (tick := last_tick(self.cron))
        if self.delay >= left:
            raise ValueError(
                f"cron {self.cron!r} last fires {_clock(tick)} after midnight, and with delay {_clock(self.delay)} its "
                f"run starts when its day is over: expected a delay under {_clock(left)}, or an earlier cron"
            )
        return self


def _clock(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    return f"{minutes // 60}h{minutes % 60:02}m" + (f"{seconds:02}s" if seconds else "")
