"""The whole embedded stack: what starts beside what, and the environment of a step that uses it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import urllib3

from containers.embedded.airflow import ROOT, Airflow
from containers.embedded.claim import Claim
from containers.embedded.ports import LOOPBACK
from containers.embedded.seaweedfs import s3_environment, seaweedfs
from containers.embedded.service import Job, Process, Service
from containers.embedded.settings import Settings, recall, settle
from tasks.errors import NightshiftError

DATA = ROOT / "build" / "data"
"""What ``containers.embedded.data`` makes, a folder a corpus."""

STORE, BACKUP = "s3://nightshift", "s3://nightshift-backup"
TRAINING_SLOTS = max(4, os.cpu_count() or 1)
"""So many workers of gangs train at once; two gangs of two must fit."""
READY, ENVIRONMENT = "ready", "environment.sh"


def is_ready(home: Path) -> bool:
    """Whether the stack that runs in ``home`` answers."""
    return (home / READY).exists()


def step_environment(settings: Settings, corpora: Path, s3_host: str = LOOPBACK) -> dict[str, str]:
    """What a step needs to know of the stack."""
    access, secret = settings.secrets["s3_access_key"], settings.secrets["s3_secret_key"]
    return {
        **s3_environment(settings.ports["s3"], access, secret, s3_host),
        "NIGHTSHIFT_STORE": STORE,
        "NIGHTSHIFT_BACKUP": BACKUP,
        "NIGHTSHIFT_CORPORA": str(corpora),
        "NIGHTSHIFT_DEMO_SITE": settings.url("site"),
        "NIGHTSHIFT_DEMO_DATA": str(DATA),
        "MLFLOW_TRACKING_URI": settings.url("mlflow"),
    }


class Stack:
    """S3, MLflow, the demo site and Airflow under ``home``; ``with Stack(...)`` ends them all, whatever happens.

    Without a start it speaks to the stack that another process runs there. ``corpora`` is by default what
    ``NIGHTSHIFT_CORPORA`` says, else ``dags/corpora``. ``s3_host`` is the address that S3 answers at: one that pods
    reach, where steps are pods.
    """

    def __init__(
        self,
        home: Path,
        *,
        corpora: Path | None = None,
        site: Path = ROOT / "build" / "site",
        extra: Mapping[str, str] | None = None,
        s3_host: str = LOOPBACK,
    ) -> None:
        self.home = home.absolute()
        self.logs = self.home / "logs"
        self.site_folder = site.absolute()
        self._claim = Claim(self.home)
        self.settings = settle(self.home, os.environ) if self._claim.is_free() else recall(self.home)
        corpora = corpora or Path(os.environ.get("NIGHTSHIFT_CORPORA") or ROOT / "dags" / "corpora")
        known = step_environment(self.settings, corpora.absolute(), s3_host)
        self.environment = {**_inherited(), **known, **(extra or {})}
        self.s3 = seaweedfs(
            self.home / "s3",
            port=self.settings.ports["s3"],
            access_key=self.settings.secrets["s3_access_key"],
            secret_key=self.settings.secrets["s3_secret_key"],
            log=self.logs / "seaweedfs.log",
            host=s3_host,
        )
        self.rendering = self._rendering()
        self.site = self._site()
        self.mlflow = self._mlflow()
        self.airflow = Airflow(self.home / "airflow", self.settings, self.environment, self.logs)
        self.rest = self.airflow.rest

    @property
    def processes(self) -> list[Process]:
        """Every process of the stack, in the order in which they are stopped."""
        return [*self.airflow.services, self.airflow.migration, self.rendering, self.mlflow, self.site, self.s3]

    def reads_site(self, corpus: str) -> bool:
        """Whether a corpus's YAML names the demo site; one that is not there is for somebody else to miss."""
        path = Path(self.environment["NIGHTSHIFT_CORPORA"]) / f"{corpus}.yaml"
        return path.is_file() and "NIGHTSHIFT_DEMO_SITE" in path.read_text(encoding="utf-8")

    def start(self, *, site: bool = True) -> None:
        """Start everything beside each other and wait for it, but for MLflow, which only a promotion needs.

        Without ``site`` no site is rendered or served.

        Raises:
            NightshiftError: another process runs a stack here, or a service did not come up; then the others are
                stopped again.
        """
        claim = self._claim.take()
        try:
            (self.home / READY).unlink(missing_ok=True)
            self.s3.start(claim=claim)
            if site:
                self.rendering.start(claim=claim)
            self.airflow.migrate(claim)
            for service in self.airflow.services:
                service.start(claim=claim)
            self.s3.wait()
            if site:
                self.rendering.finish()
                self.site.start(claim=claim)
                self.site.wait()
            for service in self.airflow.services:
                # Each answers when all are well: the one that is not must be named, and at once.
                service.wait(beside=self.airflow.services)
            self.rest.ensure_pool("training", TRAINING_SLOTS, "a slot for each worker of a training, deferred or not")
            # Last, so that its imports do not hold up Airflow's: a champion is registered minutes later.
            self.mlflow.start(claim=claim)
            self._write_environment()
            (self.home / READY).touch()
        except BaseException:
            self.stop()
            raise

    def require_all(self) -> None:
        """See that what this process started still runs: MLflow above all, which nobody waited for.

        Raises:
            NightshiftError: a service has ended, as one does whose port another program took; with the end of its log.
        """
        for service in (*self.airflow.services, self.mlflow, self.site, self.s3):
            if service.ended:
                raise NightshiftError(f"{service.name} has ended; {service.tail()}")

    def stop(self) -> None:
        """Stop everything: Airflow first, so that no task finds its store gone."""
        (self.home / READY).unlink(missing_ok=True)
        with ThreadPoolExecutor() as pool:
            list(pool.map(Process.stop, self.airflow.services))
            list(pool.map(Process.stop, self.processes[len(self.airflow.services) :]))
        self._claim.leave()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``nightshift`` by hand against this stack."""
        program = str(Path(sys.executable).with_name("nightshift"))
        return subprocess.run([program, *arguments], env=self.environment, capture_output=True, text=True, check=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_environment(self) -> None:
        """What a shell needs so that ``nightshift`` finds the stack; it holds the store's secret."""
        lines = [
            f"export {name}={shlex.quote(value)}\n"
            for name, value in sorted(self.environment.items())
            if name.startswith(("AWS_", "NIGHTSHIFT_", "MLFLOW_"))
        ]
        lines.append(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH\n")
        path = self.home / ENVIRONMENT
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
            out.writelines(lines)

    def _rendering(self) -> Job:
        return Job(
            "rendering the demo site",
            [sys.executable, "-m", "containers.embedded.render", str(self.site_folder)],
            log=self.logs / "render.log",
            env=_inherited(),
        )

    def _site(self) -> Service:
        port = str(self.settings.ports["site"])
        return Service(
            "the demo site",
            [sys.executable, "-m", "containers.embedded.site", str(self.site_folder), port],
            log=self.logs / "site.log",
            env=_inherited(),
            ready=lambda: _answers(f"{self.settings.url('site')}/robots.txt"),
            grace=1,
        )

    def _mlflow(self) -> Service:
        database = self.home / "mlflow.db"
        return Service(
            "MLflow",
            [
                str(Path(sys.executable).with_name("mlflow")),
                "server",
                f"--host={LOOPBACK}",
                f"--port={self.settings.ports['mlflow']}",
                f"--backend-store-uri=sqlite:///{database}",
                f"--default-artifact-root={self.home / 'mlflow-artifacts'}",
                "--workers=1",
            ],
            log=self.logs / "mlflow.log",
            # Its job runners are seven more processes for nothing; its telemetry would leave this machine.
            env={
                **_inherited(),
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
            ready=lambda: _answers(f"{self.settings.url('mlflow')}/health"),
            deadline=180,
            grace=3,
        )


def _inherited() -> dict[str, str]:
    """The user's environment without what would steer our services elsewhere."""
    foreign = ("AIRFLOW", "AWS_", "MLFLOW_", "NIGHTSHIFT_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _answers(url: str) -> bool:
    try:
        return urllib3.request("GET", url, timeout=2, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False
