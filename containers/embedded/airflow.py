"""Airflow as four processes of this machine, on SQLite and loopback."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from containers.embedded.ports import LOOPBACK
from containers.embedded.rest import Rest
from containers.embedded.service import Job, Service
from containers.embedded.settings import Settings

ROOT = Path(__file__).parents[2]
# Logs are read from the disk that all share: the servers of logs would listen on every network of the machine.
COMPONENTS = (
    ("api-server",),
    ("scheduler", "--skip-serve-logs"),
    ("dag-processor",),
    ("triggerer", "--skip-serve-logs"),
)


def airflow_environment(home: Path, settings: Settings) -> dict[str, str]:
    """Airflow's configuration, all of it in the environment: nothing is written into a file that goes stale."""
    url = settings.url("airflow")
    return {
        "AIRFLOW_HOME": str(home),
        "NIGHTSHIFT_AIRFLOW_ID": settings.airflow_id,
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # A task is mostly a subprocess of its own; more at once than cores only delays each.
        "AIRFLOW__CORE__PARALLELISM": str(max(2, os.cpu_count() or 2)),
        "AIRFLOW__CORE__FERNET_KEY": settings.secrets["airflow_fernet"],
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(settings.ports["airflow"]),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": settings.secrets["airflow_api"],
        "AIRFLOW__API_AUTH__JWT_SECRET": settings.secrets["airflow_jwt"],
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "15",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "15",
        # How soon a task that ended is noticed: the chain is short tasks, one after the other.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
        # A supervisor that misses the end of its task by a moment holds its slot for as long as this, 5 s by default;
        # and a lost API server is borne for as long as by default.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "15",
        # An answer that comes late is an answer: asked again after 5 s, as by default, the server says that the task
        # runs already, and the task has failed before it began.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        # The tasks of a stack that was killed go on half a minute after the next start, not five.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        "NO_PROXY": f"{LOOPBACK},localhost",
    }


class Airflow:
    """The four components, started together once the database is there."""

    def __init__(self, home: Path, settings: Settings, env: Mapping[str, str], logs: Path) -> None:
        env = {**env, **airflow_environment(home, settings)}
        program = str(Path(sys.executable).with_name("airflow"))
        self.rest = Rest(settings.url("airflow"))
        self._migrated = home / f"migrated-{version('apache-airflow')}"
        self.migration = Job(
            "airflow db migrate", [program, "db", "migrate"], log=logs / "airflow-migrate.log", env=env
        )
        self.services = [
            Service(
                f"Airflow {name}",
                [program, name, *options],
                log=logs / f"airflow-{name}.log",
                env=env,
                ready=self.rest.healthy,
                deadline=180,
                # The scheduler lets running tasks end first, the API server its open connections; a stack that goes
                # down waits for neither: a task that was cut off is run again after the next start.
                grace=3,
            )
            for name, *options in COMPONENTS
        ]

    def migrate(self, claim: int | None = None) -> None:
        """Bring the database to this version of Airflow; nothing to do from the second start on.

        Raises:
            NightshiftError: Airflow could not; with what it said.
        """
        if not self._migrated.exists():
            self._migrated.parent.mkdir(parents=True, exist_ok=True)
            self.migration.start(claim=claim)
            self.migration.finish()
            self._migrated.touch()
