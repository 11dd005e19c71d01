"""The one plugin that the entry point ``airflow.plugins`` registers."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from plugins import pools
from plugins.timetable import NightlyTimetable


class NightshiftPlugin(AirflowPlugin):
    """What the scheduler and the API server must know to read Nightshift's DAGs back."""

    name = "nightshift"
    listeners = [pools]  # noqa: RUF012
    timetables = [NightlyTimetable]  # noqa: RUF012  # Airflow declares it a plain list
