"""What the workers of one training are started with, one by one or all on this machine."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from typing import Any

from tasks.errors import BadInput, Preempted
from tasks.gang.identity import Identity
from tasks.gang.peers import on_loopback, parse
from tasks.gang.supervisor import supervise
from tasks.gang.timing import Timing
from tasks.gang.twin import run_twin
from tasks.step import Context, Shard, StepResult
from tasks.training.mirrored.devices import processors
from tasks.training.mirrored.job import Job
from tasks.training.parameter_server.roles import Roles
from tasks.training.runs import Training, recipe_code

PROGRAM = (sys.executable, "-c", "from tasks.cli import main; main()")
"""``nightshift``, as this very Python has it."""
_TERMINATED = 143
"""What ``tasks.command`` ends a process with that is told to leave at any other time."""


def start_worker(
    context: Context, training: Training, corpus: str, worker: Shard, peers: str, generation: str
) -> StepResult:
    """Be worker ``worker`` of the gang at ``peers``; ``corpus`` is what ``--corpus`` said. See ``supervise``."""
    addresses = parse(peers)
    if training.asynchronous and worker.count != training.corpus.gang:
        raise BadInput(
            f"--worker {worker}: strategy parameter_server of corpus {training.corpus.corpus} has "
            f"{training.corpus.gang} members (a chief, resources.parameter_servers, resources.workers): give "
            f"--worker {min(worker.index, training.corpus.gang - 1)}/{training.corpus.gang}"
        )
    if len(addresses) != worker.count:
        raise BadInput(
            f"--worker {worker} is one of {worker.count} workers, but --peers names {len(addresses)}: give the address "
            "of each worker, in order"
        )
    try:
        if done := _prepare(context, training):
            return done
        timing = Timing.of(context.corpus.resources.watchdogs)
        identity = Identity(
            generation=generation,
            run=training.run,
            workers=worker.count,
            snapshot=training.snapshot_id,
            config=training.config,
            code=recipe_code(training.corpus.train.recipe.name),
        )
        log = context.log.bind(worker=str(worker), generation=generation)
        command = [*child_command(), f"--corpus={corpus}", f"--snapshot={training.snapshot_id}"]
        replaceable = training.asynchronous and Roles.of(context.corpus.resources).replaceable(worker.index)
        environment = _environment(context)
        payload = supervise(worker.index, addresses, identity, command, environment, timing, log, replaceable)
    except SystemExit as told:
        if told.code != _TERMINATED:
            raise
        raise Preempted(f"worker {worker} was told to leave (SIGTERM) before it met the others") from told
    return _result(payload)


def start_all(context: Context, training: Training, corpus: str, generation: str | None) -> StepResult:
    """Run the whole gang as processes of this machine, on a share of its processors each. See ``run_twin``.

    ``NIGHTSHIFT_CPUS``, where it is set, is each worker's already.
    """
    workers = training.corpus.gang
    if done := _prepare(context, training):
        return done
    peers = ",".join(map(str, on_loopback(workers)))
    generation = generation or secrets.token_hex(4)
    context.log.info("starting a gang", workers=workers, generation=generation)
    commands = [
        [
            *(*PROGRAM, "train", f"--corpus={corpus}", f"--snapshot={training.snapshot_id}"),
            *(f"--worker={index}/{workers}", f"--peers={peers}", f"--generation={generation}", "--json"),
        ]
        for index in range(workers)
    ]
    environment = _environment(context)
    environment.setdefault("NIGHTSHIFT_CPUS", str(max(1, processors(environment) // workers)))
    return _result(run_twin(commands, environment, context.log))


def child_command() -> list[str]:
    """The process that trains."""
    return [sys.executable, "-m", "tasks.training.mirrored.worker"]


def _prepare(context: Context, training: Training) -> StepResult | None:
    job = Job.of(context, training)
    if done := job.done():
        return done
    job.require_learnable(context.corpus.resources.workers)
    return None


def _environment(context: Context) -> dict[str, str]:
    return {**context.env, "NIGHTSHIFT_STORE": context.store.url}


def _result(payload: Mapping[str, Any]) -> StepResult:
    return StepResult(**{name: value for name, value in payload.items() if name in StepResult.__slots__})
