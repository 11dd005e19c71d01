"""The training itself: steps, epochs, validation, and what is kept of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasks.errors import BadInput, NightshiftError, Preempted
from tasks.log import Progress
from tasks.models.base import streams
from tasks.training.mirrored.checkpoint import Checkpoint
from tasks.training.mirrored.feed import Batch, Feed, Slicer
from tasks.training.mirrored.lanes import Lanes
from tasks.training.mirrored.network import EXAMPLES, STOP, WAITED, Network, Report
from tasks.training.mirrored.order import InSequence, Order
from tasks.training.mirrored.patience import busy
from tasks.training.mirrored.schedule import learning_rate
from tasks.training.mirrored.state import State, kept, means, stops

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from structlog.typing import FilteringBoundLogger

    from tasks.gang.line import ChildEnd
    from tasks.models._fit import FitParams
    from tasks.training.mirrored.examples import Examples
    from tasks.training.mirrored.saver import Saver

_PATIENCE = 1.0
"""Seconds that a worker waits for its batch before it tells the others that it is late."""
_PREEMPTED_CHECKPOINT = 35.0
"""Under what a supervisor grants a worker that is told to leave."""
_LAST_CHECKPOINT = 30.0
_SMALLEST_SCALE = 2.0**-10


@dataclass(slots=True)
class Timings:
    """Where this process's time went; differs between equal runs."""

    started: float = field(default_factory=time.monotonic)
    resumed_from: int = 0
    steps: int = 0
    examples: int = 0
    step_seconds: float = 0.0
    """In steps, the first one (which builds the graph) left out."""
    first_step_seconds: float = 0.0
    waited: list[float] = field(default_factory=list)
    """Seconds that each worker waited for its batches."""
    stalls: list[float] = field(default_factory=list)
    """Seconds that each checkpoint held the training up."""
    reduce_seconds: float = 0.0
    """Of one step, in summing gradients over the workers; measured after training."""
    agree_seconds: float = 0.0
    """The same for the few numbers beside them."""


class Loop:
    """One worker's side of a training. All workers run the same steps and decide alike.

    What one worker alone knows (it is told to leave, its batch is late) travels in the sums of the next
    step, so that all of them learn it after the same step.
    """

    def __init__(
        self,
        network: Network,
        slicer: Slicer,
        params: FitParams,
        seed: int,
        end: ChildEnd,
        log: FilteringBoundLogger,
        saver: Saver | None,
        every: float,
        watch: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        """``saver`` stores the checkpoints, worker 0's alone; ``every`` are the seconds between two. ``watch``
        is told of each epoch but the last, as the curves have it; what it raises ends the training."""
        self.network = network
        self._slicer = slicer
        self._examples: Examples = slicer.examples
        self._params = params
        self._end = end
        self._log = log
        self._saver = saver
        self._every = every
        self._watch = watch
        sizes, judged = (self._examples.sizes(split) for split in ("train", "validation"))
        stream, size = streams(slicer.recipe), params.batch_size
        self.order: Order | Lanes = Lanes(seed, sizes, size) if stream else Order(seed, sizes, size)
        self._validation: InSequence | Lanes = Lanes(None, judged, size) if stream else InSequence(judged, size)
        self.steps = params.epochs * self.order.steps
        """Of the whole training, unless it stops early."""
        self.state = State()
        self.kept: dict[int, list[NDArray[Any]]] = {}
        self.timings = Timings()
        self._all_here = False
        self._saved_at = time.monotonic()

    def restore(self, checkpoint: Checkpoint, source: str) -> None:
        """Go on from a checkpoint."""
        self.network.restore(checkpoint.tensors, source)
        self.state = checkpoint.state
        self.kept = dict(checkpoint.kept)
        self.timings.resumed_from = checkpoint.state.step

    def run(self) -> None:
        """Train to the end.

        Raises:
            Preempted: a worker was told to leave; a checkpoint was stored before.
            BadInput: the loss is not a number any more.
        """
        state = self.state
        # The files of the next steps first, then what validation needs at the end of the epoch.
        files = [("train", shard) for shard in self.order.shards_from(state.step)]
        files += [("validation", shard) for shard in range(len(self._examples.sizes("validation")))]
        self._examples.fetch(files)
        self.timings.waited = [0.0] * self.network.workers
        self._saved_at = time.monotonic()
        progress = Progress(self._log, "steps", self.steps - state.step)
        feed = Feed(
            lambda step: self._slicer.batch("train", step, self.order.batch(step)), range(state.step, self.steps)
        )
        try:
            if ended := self._ended():  # resumed at the very end: no step will say that this worker is well
                self._end.report("step", step=state.step)
            while not ended:
                self._train(feed, progress)
                self._finish_epoch()
                ended = self._ended()
        finally:
            feed.close()
            self._examples.close()
        self._measure()

    def _ended(self) -> bool:
        finished = self.state.step // self.order.steps
        if finished > len(self.state.epochs):  # a checkpoint between the last step of an epoch and its validation
            self._finish_epoch()
        return bool(self.state.epochs) and stops(self.state.epochs, self._params)

    def _train(self, feed: Feed, progress: Progress) -> None:
        """The steps of what is left of this epoch."""
        state, params = self.state, self._params
        until = (len(state.epochs) + 1) * self.order.steps
        if state.step % self.order.steps == 0:
            self.network.forget()
        waited = 0.0
        while state.step < until:
            asked = time.monotonic()
            batch = self._next(feed, state.step)
            waited = time.monotonic() - asked
            rate = learning_rate(params, state.step, self.steps)
            report = self.network.step(
                batch, stop=self._end.stopping, waited=waited, rate=rate, scale=state.scale.value
            )
            self._count(report, batch, time.monotonic() - asked)
            self._require_finite(report)
            state.scale = state.scale.after(report.applied)
            state.add(report.rows[:, EXAMPLES:].tolist())
            state.step, state.metrics = state.step + 1, self.network.metrics
            now = means(self._total(report.rows[:, EXAMPLES:]), self.network.metrics)
            self._end.progress(state.step, epoch=len(state.epochs) + 1, rate=rate, **now)
            progress.advance(1, epoch=len(state.epochs) + 1, **{name: round(value, 4) for name, value in now.items()})
            if report.rows[:, STOP].any():
                self._leave()
            if self._saver and time.monotonic() - self._saved_at >= self._every:
                self._save()

    def _finish_epoch(self) -> None:
        """Validate, note the epoch's curves, and keep its weights if they are among the ones to keep."""
        state, names = self.state, self.state.metrics
        self._require_alike()
        epoch = len(state.epochs)
        validation = self._validate()
        entry: dict[str, Any] = {"epoch": epoch + 1, "step": state.step}
        entry |= means([sum(column) for column in zip(*state.sums, strict=True)], names)
        entry["validation"] = validation
        entry["workers"] = [{"examples": round(row[0]), **means(row, names)} for row in state.sums]
        state.epochs.append(entry)
        state.sums = []
        self._require_watched(entry)
        wanted = kept(state.epochs, self._params)
        if epoch in wanted:
            self.kept[epoch] = self.network.weights()
        self.kept = {epoch: self.kept[epoch] for epoch in wanted}
        self._log.info("epoch", **{key: value for key, value in entry.items() if key != "workers"})
        if self._watch and not stops(state.epochs, self._params):
            self._watch(entry)

    def _validate(self) -> dict[str, float]:
        """The means of losses and metrics over the validation split, the same on every worker; empty without one."""
        steps = self._validation.steps
        if not steps:
            return {}
        self.network.forget()
        feed = Feed(lambda step: self._slicer.batch("validation", step, self._validation.batch(step)), range(steps))
        sums: list[float] = []
        said = 0.0
        try:
            for step in range(steps):
                batch = self._next(feed, step)
                report = self.network.evaluate(batch, stop=self._end.stopping)
                if report.rows[:, STOP].any():
                    self._leave()
                row = self._total(report.rows[:, EXAMPLES:])
                sums = [a + b for a, b in zip(sums, row, strict=True)] if sums else row
                if time.monotonic() - said > 1:
                    said = time.monotonic()
                    self._end.report("alive", doing="evaluation")
        finally:
            feed.close()
        return means(sums, self.network.metrics)

    # waiting, together

    def _next(self, feed: Feed, step: int) -> Batch:
        """The batch of this step, once every worker has its own.

        Until all files have come, workers first tell each other whether they are late: one that waits for
        a store that is down keeps the others out of a sum that would time out.
        """
        batch: Batch | None = None
        while not self._all_here:
            batch = batch or feed.get(_PATIENCE)
            said = self.network.agree([batch is None, not self._examples.complete, self._end.stopping])
            late, missing, stop = (bool(column.any()) for column in said.T)
            if stop:
                self._leave()
            if not late:
                self._all_here = not missing
                break
            self._end.report("alive", doing="waiting for examples")
        batch = batch or feed.get()
        if batch is None or batch.step != step:
            raise NightshiftError(f"the batch of step {batch and batch.step} came for step {step}")
        return batch

    def _leave(self) -> None:
        """Store a checkpoint and go: a worker was told to."""
        if self._saver:
            with busy(self._end, "checkpoint"):
                self._save()
                self._saver.flush(_PREEMPTED_CHECKPOINT)
            stored = self._saver.newest
            if stored != self.state.step:
                self._log.warning(
                    "preempted without a checkpoint of the last step", step=self.state.step, stored=stored
                )
        raise Preempted(f"told to leave: stopped after step {self.state.step}, the next start goes on from there")

    # what must not be

    def _require_finite(self, report: Report) -> None:
        total = self._total(report.rows[:, EXAMPLES:])
        if self.state.scale.dynamic:
            if report.applied or self.state.scale.value > _SMALLEST_SCALE:
                return
        elif all(math.isfinite(value) for value in total):
            return
        raise BadInput(
            f"the loss is not a number any more at step {self.state.step + 1} (sums {total}): lower the recipe's "
            "learning_rate, set its clip_norm, or take a precision of wider range"
        )

    def _require_alike(self) -> None:
        """Refuse to go on with networks that have come apart: a layer changed itself on each worker alone."""
        if self.network.workers == 1:
            return
        check = self.network.checksum()
        said = self.network.agree([check >> 16, check & 0xFFFF])
        if (said != said[0]).any():
            apart = [worker for worker, row in enumerate(said) if (row != said[0]).any()]
            raise BadInput(
                f"after step {self.state.step} the networks of workers {apart} differ from worker 0's: the recipe's "
                "network holds something that each worker changes on its own, as statistics of a layer"
            )

    def _require_watched(self, entry: dict[str, Any]) -> None:
        watched = self._params.early_stopping
        if watched and watched.metric not in entry["validation"]:
            raise BadInput(
                f"early_stopping.metric {watched.metric!r} is not measured; the recipe measures: "
                f"{', '.join(entry['validation'])}"
            )

    # bookkeeping

    def _save(self) -> None:
        assert self._saver is not None
        started = time.monotonic()
        self._saver.submit(Checkpoint(self.state.copy(), self.network.snapshot(), dict(self.kept)))
        self._saved_at = time.monotonic()
        self.timings.stalls.append(self._saved_at - started)

    def save_last(self) -> None:
        """Store a checkpoint of the end, so that a failing export need not train again."""
        if self._saver and self._saver.newest != self.state.step:
            self._save()
            self._saver.flush(_LAST_CHECKPOINT)

    def _count(self, report: Report, batch: Batch, seconds: float) -> None:
        timings = self.timings
        if timings.steps:
            timings.step_seconds += seconds
            timings.examples += batch.examples
            timings.waited = [a + b for a, b in zip(timings.waited, report.rows[:, WAITED], strict=True)]
        else:
            timings.first_step_seconds = seconds
        timings.steps += 1

    def _measure(self) -> None:
        """How long the workers take to sum what they sum in a step."""
        self.timings.reduce_seconds, self.timings.agree_seconds = self.network.reduce_seconds()

    @staticmethod
    def _total(rows: NDArray[Any]) -> list[float]:
        return [float(value) for value in rows.sum(axis=0)]
