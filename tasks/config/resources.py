"""What tasks ask for and how long they may take: the section ``resources``."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from tasks.config.quantity import Cpu, Memory
from tasks.section import Duration, Section


class Watchdogs(Section):
    """After how long a gang's worker counts as lost; all its workers then end and start again."""

    rendezvous: Duration = Field("5m", description="until every worker has come")  # type: ignore[assignment]
    startup: Duration = Field("5m", description="from then until the first step")  # type: ignore[assignment]
    step: Duration = Field("60s", description="from one step, evaluation or checkpoint to the next")  # type: ignore[assignment]


class Checkpoints(Section):
    """Where an interrupted training goes on; none of this changes its result."""

    every: Duration = Field("60s", description="time between two checkpoints, written beside the training")  # type: ignore[assignment]
    keep: int = Field(3, ge=1, description="so many newest ones stay on the store until the training ends")


class Resources(Section):
    """What one task asks for and how long it may take; nothing here changes a result."""

    workers: int = Field(2, ge=1, le=1000, description="of a mirrored recipe: so many train one model in step")
    parameter_servers: int = Field(
        1, ge=1, le=100, description="of strategy: parameter_server: so many hold the variables; one more member leads"
    )
    checkpoints: Checkpoints = Checkpoints()
    watchdogs: Watchdogs = Watchdogs()
    cpu: Cpu = Field("1", description="cores of a pod, as Kubernetes writes it")
    memory: Memory = Field("2Gi", description="of a pod, which is killed if it takes more; as Kubernetes writes it")
    gpus: int = Field(0, ge=0, description="whole ones, of each pod that trains")
    timeout: Duration = Field("2h", gt=timedelta(0), description="a task that takes longer fails")  # type: ignore[assignment]
    retries: int = Field(3, ge=0, le=20, description="of a task that failed for want of network, store or memory")
    pool: str | None = Field(
        None,
        description="the Airflow pool whose slots the tasks take; default `default_pool`, and for the workers of a "
        "mirrored recipe `training`, which must count deferred tasks",
    )
