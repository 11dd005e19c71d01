"""The process that trains: one of a gang's workers, started and watched by a supervisor (``tasks.gang``).

``python -m tasks.training.mirrored.worker --corpus … --snapshot … [--store …]``, with ``TF_CONFIG`` where there
are several workers; orders come on standard input, events go to standard output (``tasks.gang.line``).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tasks import log
from tasks.command import given_corpus, make_context
from tasks.gang.line import ChildEnd, serve
from tasks.searching.bench import referee_of
from tasks.training.begin import begin_with
from tasks.training.freezing import require_beginning
from tasks.training.mirrored.job import Job
from tasks.training.mirrored.patience import busy, patiently
from tasks.training.warm import warm_start
from tasks.training.work import open_training, read_table

if TYPE_CHECKING:
    from tasks.step import Context
    from tasks.training.mirrored.loop import Loop


def train(end: ChildEnd, context: Context, snapshot: str) -> Mapping[str, Any] | None:
    """One worker's whole training; worker 0 returns the step's result.

    Raises:
        BadInput: nothing can be learned from what is there, or not by this many workers or GPUs.
        Preempted: a worker of the gang was told to leave.
    """
    from tasks.training.mirrored import devices

    worker, workers = devices.place(os.environ)
    log = context.log.bind(worker=worker)
    resources = context.corpus.resources
    job = patiently(lambda: Job.of(context, open_training(context, snapshot)), log, "reading the manifests")
    if job.training.asynchronous:
        from tasks.training.parameter_server.member import take_part

        return take_part(end, job)
    job.require_learnable(workers)
    job.require_files()
    devices.prepare(resources.gpus, devices.processors(os.environ))
    timeout = (resources.watchdogs.startup + resources.watchdogs.step).total_seconds()
    strategy = devices.strategy(workers, timeout)
    # A thread may still be fetching into it when this worker is told to leave: that must not hide why it ends. What is
    # left of it, as of a worker that is killed, its supervisor deletes.
    with tempfile.TemporaryDirectory(prefix="nightshift-examples-", ignore_cleanup_errors=True) as scratch:
        return _trained(end, job, strategy, worker, workers, Path(scratch))


def _trained(
    end: ChildEnd, job: Job, strategy: Any, worker: int, workers: int, scratch: Path
) -> Mapping[str, Any] | None:
    from tasks.training.mirrored.checkpoint import Checkpoints, require_checkpoint_key
    from tasks.training.mirrored.export import export

    context, training = job.context, job.training
    log = context.log.bind(worker=worker)
    kept = context.corpus.resources.checkpoints
    checkpoints = Checkpoints(context.store, training.checkpoints, job.fingerprint, log)
    loop = _loop(end, job, strategy, worker, scratch, checkpoints)
    end.report("ready")
    if worker == 0:
        with busy(end, "looking for a checkpoint"):
            newest = patiently(checkpoints.newest, log, "looking for a checkpoint")
        end.report("newest", checkpoint=newest)
    key = end.wait("restore")["checkpoint"]
    if key is not None:
        key = require_checkpoint_key(key, training.checkpoints)
        with busy(end, "restore"):
            loop.restore(patiently(lambda: checkpoints.read(key), log, f"reading {key}"), key)
    require_beginning(training, loop.state.begun)
    end.report("restored", step=loop.state.step, digest=loop.network.digest(), checkpoint=key)
    end.wait("go")
    log.info("training", step=loop.state.step, steps=loop.steps, workers=workers, keep=kept.keep)
    loop.run()
    if worker:
        return None
    with busy(end, "export"):
        loop.save_last()
        result = patiently(
            lambda: export(job, loop.state, loop.kept, loop.timings, workers), log, "committing the parts"
        )
        patiently(checkpoints.clear, log, "deleting the checkpoints")
    return result.to_json()


def _loop(end: ChildEnd, job: Job, strategy: Any, worker: int, scratch: Path, checkpoints: Any) -> Loop:
    from tasks.training.mirrored.examples import Examples
    from tasks.training.mirrored.feed import Slicer, balanced
    from tasks.training.mirrored.loop import Loop
    from tasks.training.mirrored.network import Network
    from tasks.training.mirrored.saver import Saver

    context, recipe, params = job.context, job.recipe, job.recipe.params
    log, settings = context.log.bind(worker=worker), context.corpus.resources.checkpoints
    seed = context.corpus.train.seed
    (entry,) = job.features.manifest.of_role("features")
    features = patiently(lambda: read_table(context, entry), log, "reading the features")
    network = Network(strategy, recipe, features, seed, worker, job.training.corpus.train.freeze)
    drawn = network.weights()
    begin = patiently(lambda: warm_start(context, job.training, recipe, features, drawn), log, "reading the champion")
    if begin is not None:
        network.begin(begin.weights)
    if (given := begin_with(context.env, recipe, features, drawn)) is not None:
        network.begin(given)
    files = {split: job.files(split) for split in ("train", "validation")}
    examples = Examples(context.catalog, recipe.fields(), files, scratch, log)
    size = -(-params.batch_size // network.total)
    weights = balanced(job.labels()) if params.class_weight else None
    slicer = Slicer(recipe, examples, network.replicas, network.total, size, weights)

    def saved(step: int, key: str) -> None:
        end.report("saved", step=step, key=key)

    saver = Saver(checkpoints, settings.keep, saved, log) if worker == 0 else None
    watch = referee_of(context.env)
    loop = Loop(network, slicer, params, seed, end, log, saver, settings.every.total_seconds(), watch)
    loop.state.begun = begin.champion if begin else None
    return loop


@click.command()
@click.option("--corpus", required=True, help="A corpus name, or its YAML file.")
@click.option("--snapshot", required=True, help="Snapshot id, or its manifest's URL.")
@click.option("--store", envvar="NIGHTSHIFT_STORE", help="s3://bucket/prefix or file:///folder.")
def main(corpus: str, snapshot: str, store: str | None) -> None:
    """Train as one worker of a gang. For the supervisor; use `nightshift train`."""
    log.configure(as_json=os.environ.get("NIGHTSHIFT_LOG") == "json")

    def work(end: ChildEnd) -> Mapping[str, Any] | None:
        context = make_context(given_corpus(corpus), store, step="train", snapshot=snapshot)
        return train(end, context, snapshot)

    serve(work)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's greetings are not for a task's log
    main()
