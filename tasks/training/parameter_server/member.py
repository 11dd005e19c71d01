"""One member of a gang with parameter servers, as the child of its supervisor."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.gang.line import ChildEnd, leave
from tasks.training.freezing import require_beginning
from tasks.training.mirrored import devices
from tasks.training.mirrored.job import Job
from tasks.training.mirrored.patience import busy, patiently
from tasks.training.parameter_server.roles import Name, Roles

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from tasks.training.parameter_server.loop import Loop

Cluster = Mapping[str, list[str]]


def take_part(end: ChildEnd, job: Job) -> Mapping[str, Any] | None:
    """The whole life of one member; the chief returns the step's result.

    Raises:
        BadInput: nothing can be learned from what is there, or not in this way.
        Preempted: a member of the gang was told to leave.
    """
    config = json.loads(os.environ["TF_CONFIG"])
    roles = Roles.of(job.context.corpus.resources)
    role, number = roles.role(int(config["task"]["index"]))
    cluster = roles.cluster(config["cluster"]["worker"])
    os.environ.pop("TF_CONFIG")  # it calls everybody a worker
    # Each worker's step waits for the servers, in the chief, in its own process and in theirs.
    devices.settle(job.context.corpus.resources.gpus, devices.processors(os.environ), waiting=roles.workers)
    if role != "chief":
        _serve(end, cluster, role, number)
    job.require_learnable(roles.workers)
    job.require_files()
    with tempfile.TemporaryDirectory(prefix="nightshift-examples-", ignore_cleanup_errors=True) as scratch:
        return _lead(end, job, cluster, roles, Path(scratch))


def _serve(end: ChildEnd, cluster: Cluster, role: Name, number: int) -> None:
    """Hold variables, or compute what the chief sends, until nobody needs it."""
    import tensorflow as tf

    # A server counts threads for itself: with one, what a step waits for would have to wait for that step.
    threads = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=tf.config.threading.get_intra_op_parallelism_threads(),
        inter_op_parallelism_threads=tf.config.threading.get_inter_op_parallelism_threads(),
    )
    # It lives as long as this name does.
    server = tf.distribute.Server(
        tf.train.ClusterSpec(cluster), job_name=role, task_index=number, protocol="grpc", config=threads, start=True
    )
    end.report("ready")
    key = end.wait("restore")["checkpoint"]
    end.report("restored", step=0, digest=str(key))
    end.wait("go")
    end.report("alive", doing=f"serving at {server.target}")  # once: the chief's steps say whether all is well
    end.wait("end")
    leave(0)


def _lead(end: ChildEnd, job: Job, cluster: Cluster, roles: Roles, scratch: Path) -> Mapping[str, Any]:
    from tasks.training.mirrored.checkpoint import Checkpoints, require_checkpoint_key
    from tasks.training.mirrored.export import export
    from tasks.training.mirrored.saver import Saver

    context, training = job.context, job.training
    log, kept = context.log.bind(role="chief"), context.corpus.resources.checkpoints
    checkpoints = Checkpoints(context.store, training.checkpoints, job.fingerprint, log)
    end.report("ready")
    with busy(end, "looking for a checkpoint"):
        newest = patiently(checkpoints.newest, log, "looking for a checkpoint")
    end.report("newest", checkpoint=newest)
    # Only now: every other member said that it is ready, and the cluster is there to be met.
    key = end.wait("restore")["checkpoint"]

    def saved(step: int, key: str) -> None:
        end.report("saved", step=step, key=key)

    with busy(end, "building the network on the servers"):
        saver = Saver(checkpoints, kept.keep, saved, log)
        loop = _loop(end, job, cluster, roles, scratch, saver, log)
        if key is not None:
            key = require_checkpoint_key(key, training.checkpoints)
            loop.restore(patiently(lambda: checkpoints.read(key), log, f"reading {key}"), key)
        require_beginning(training, loop.state.begun)
    end.report("restored", step=0, digest=str(key))
    end.wait("go")
    log.info("training", step=loop.state.step, steps=loop.steps, workers=roles.workers, servers=roles.servers)
    loop.run()
    with busy(end, "export"):
        loop.save_last()
        result = patiently(
            lambda: export(job, loop.state, loop.kept, loop.timings, roles.workers), log, "committing the parts"
        )
        patiently(checkpoints.clear, log, "deleting the checkpoints")
    return result.to_json()


def _loop(
    end: ChildEnd, job: Job, cluster: Cluster, roles: Roles, scratch: Path, saver: Any, log: FilteringBoundLogger
) -> Loop:
    from tasks.training.mirrored.examples import Examples
    from tasks.training.mirrored.feed import Slicer, balanced
    from tasks.training.parameter_server.loop import Loop
    from tasks.training.parameter_server.network import Network
    from tasks.training.warm import warm_start
    from tasks.training.work import read_table

    context, recipe, params = job.context, job.recipe, job.recipe.params
    (entry,) = job.features.manifest.of_role("features")
    features = patiently(lambda: read_table(context, entry), log, "reading the features")
    train = job.training.corpus.train
    network = Network(cluster, recipe, features, train.seed, train.freeze)
    drawn = network.weights()
    begin = patiently(lambda: warm_start(context, job.training, recipe, features, drawn), log, "reading the champion")
    if begin is not None:
        network.begin(begin.weights)
    files = {split: job.files(split) for split in ("train", "validation")}
    examples = Examples(context.catalog, recipe.fields(), files, scratch, log)
    weights = balanced(job.labels()) if params.class_weight else None
    slicer = Slicer(recipe, examples, range(1), 1, params.batch_size, weights)
    every = context.corpus.resources.checkpoints.every.total_seconds()
    loop = Loop(network, slicer, params, job.training.corpus.train.seed, end, log, saver, every, roles.workers)
    loop.state.begun = begin.champion if begin else None
    return loop
