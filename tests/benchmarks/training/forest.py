"""The sharded forest: the commands that grow it, one after another or side by side."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass

from tasks.evaluate import evaluate_part
from tasks.merge import merge
from tests.benchmarks.training.place import Place, environment

DEADLINE = 300.0


@dataclass(frozen=True, slots=True)
class Grown:
    """Seconds from the start of the first process to the end of the last, and what the merged model gets right."""

    seconds: float
    accuracy: float


def grow(place: Place, shards: int) -> Grown:
    """Train every shard in a process of its own, all at once, each on its core; then merge."""
    started = time.monotonic()
    processes = [
        subprocess.Popen(
            ["taskset", "--cpu-list", str(shard), *place.command("train", f"--shard={shard}/{shards}")],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for shard in range(shards)
    ]
    for process in processes:
        _, log = process.communicate(timeout=DEADLINE)
        if process.returncode:
            raise SystemExit(f"train ended with {process.returncode}:\n{log[-3000:]}")
    seconds = time.monotonic() - started
    context, training = place.context, place.training
    for part in training.parts:
        evaluate_part(context, training, part)
    merge(context, training)
    details = context.catalog.load(training.model(), made_by="merge").details
    return Grown(seconds, details["validation"][details["chosen"]]["accuracy"])
