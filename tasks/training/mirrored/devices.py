"""What of this machine the training uses: processors, GPUs, and the strategy over the workers."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import BadInput, Lacking

if TYPE_CHECKING:
    import tensorflow as tf

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def place(env: Mapping[str, str]) -> tuple[int, int]:
    """This worker's index and the number of workers, as ``TF_CONFIG`` has them; (0, 1) without it."""
    if not env.get("TF_CONFIG"):
        return 0, 1
    config = json.loads(env["TF_CONFIG"])
    return int(config["task"]["index"]), len(config["cluster"]["worker"])


def processors(env: Mapping[str, str], quota: Path = _QUOTA) -> int:
    """Processors to compute on: ``NIGHTSHIFT_CPUS``, else what affinity and the container's quota leave."""
    if given := env.get("NIGHTSHIFT_CPUS"):
        if not given.isdecimal() or int(given) < 1:
            raise BadInput(f"NIGHTSHIFT_CPUS is {given!r}: expected a whole number of processors, 1 or more")
        return int(given)
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = quota.read_text().split()
    except (OSError, ValueError):
        return count
    return count if limit == "max" else max(1, min(count, math.ceil(int(limit) / int(period))))


def prepare(gpus: int, cpus: int) -> None:
    """Settle TensorFlow before anything runs: threads, determinism, GPU memory.

    Raises:
        Lacking: fewer GPUs are visible than ``gpus``.
    """
    import tensorflow as tf

    settle(gpus, cpus)
    tf.config.experimental.enable_op_determinism()


def settle(gpus: int, cpus: int, waiting: int = 0) -> None:
    """The same without determinism, of which there is none where workers do not wait for each other; with threads for
    so many functions more that are ``waiting`` for another process at a time, or the one that they wait for may find
    none left."""
    import tensorflow as tf

    visible = tf.config.list_physical_devices("GPU")
    if gpus > len(visible):
        raise Lacking(
            f"resources.gpus is {gpus}, but this worker sees {len(visible)}: run it on a node that has them, in an "
            "image whose TensorFlow has CUDA, or set resources.gpus to 0"
        )
    for gpu in visible:  # else the first process takes all of its memory
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.threading.set_intra_op_parallelism_threads(cpus)
    # A sum waits on one while another computes.
    tf.config.threading.set_inter_op_parallelism_threads(max(2, cpus) + waiting)


def strategy(workers: int, timeout: float) -> tf.distribute.Strategy:
    """The strategy over all workers, or over this one's devices alone; a sum that takes ``timeout`` seconds fails."""
    import tensorflow as tf

    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout)
    if workers == 1:
        os.environ.pop("TF_CONFIG", None)  # no server, no port: there is nobody to talk to
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
