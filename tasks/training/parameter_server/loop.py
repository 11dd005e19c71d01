"""The training as the chief leads it: what is handed out, what comes back, epochs, validation, checkpoints."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from tasks.errors import BadInput, PeerLost, Preempted
from tasks.training.mirrored.checkpoint import Checkpoint
from tasks.training.mirrored.feed import Batch, Feed, Slicer
from tasks.training.mirrored.loop import Timings
from tasks.training.mirrored.order import InSequence, Order
from tasks.training.mirrored.patience import busy
from tasks.training.mirrored.schedule import learning_rate
from tasks.training.mirrored.state import State, kept, means, stops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from structlog.typing import FilteringBoundLogger

    from tasks.gang.line import ChildEnd
    from tasks.models._fit import FitParams
    from tasks.training.mirrored.saver import Saver
    from tasks.training.parameter_server.network import Measured, Network

_AHEAD = 2
"""Batches handed out for each worker: one that it computes, and one that is under way to it."""
_PREEMPTED_CHECKPOINT = 35.0
_LAST_CHECKPOINT = 30.0


class Loop:
    """The chief's side of a training. The order of batches is the mirrored one's; that of updates is chance's."""

    def __init__(
        self,
        network: Network,
        slicer: Slicer,
        params: FitParams,
        seed: int,
        end: ChildEnd,
        log: FilteringBoundLogger,
        saver: Saver,
        every: float,
        workers: int,
    ) -> None:
        self._network, self._slicer, self._params = network, slicer, params
        self._end, self._log, self._saver, self._every = end, log, saver, every
        self._workers = workers
        self._examples = slicer.examples
        self._order = Order(seed, self._examples.sizes("train"), params.batch_size)
        self.steps = params.epochs * self._order.steps
        """Of the whole training, unless it stops early."""
        self.state = State()
        self.kept: dict[int, list[NDArray[Any]]] = {}
        self.timings = Timings()
        self._stale: list[int] = []
        self._saved_at = time.monotonic()

    def restore(self, checkpoint: Checkpoint, source: str) -> None:
        """Go on from a checkpoint."""
        self._network.restore(checkpoint.tensors, source)
        self.state, self.kept = checkpoint.state, dict(checkpoint.kept)
        self.timings.resumed_from = checkpoint.state.step

    def run(self) -> None:
        """Train to the end.

        Raises:
            Preempted: a member was told to leave; a checkpoint was stored before.
            PeerLost: a server is gone, and what it held with it.
            BadInput: the loss is not a number any more.
        """
        import tensorflow as tf

        files = [("train", shard) for shard in self._order.shards_from(self.state.step)]
        files += [("validation", shard) for shard in range(len(self._examples.sizes("validation")))]
        self._examples.fetch(files)
        self._saved_at = time.monotonic()
        numbers = range(self.state.step, self.steps)
        feed = Feed(lambda step: self._slicer.batch("train", step, self._order.batch(step)), numbers)
        try:
            while not self._ended():
                self._train(feed)
                self._finish_epoch()
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
            raise PeerLost(f"a parameter server is gone, or every worker: {str(error)[:300]}") from error
        finally:
            feed.close()
            self._examples.close()

    def _ended(self) -> bool:
        finished = self.state.step // self._order.steps
        if finished > len(self.state.epochs):  # a checkpoint between the last step of an epoch and its validation
            self._finish_epoch()
        return bool(self.state.epochs) and stops(self.state.epochs, self._params)

    def _train(self, feed: Feed) -> None:
        state, until = self.state, (len(self.state.epochs) + 1) * self._order.steps
        pending: deque[tuple[Any, Batch]] = deque()
        handed_out, began, counted = state.step, time.monotonic(), 0
        while state.step < until:
            while handed_out < until and len(pending) < _AHEAD * self._workers and not self._end.stopping:
                batch = self._next(feed)
                rate = learning_rate(self._params, batch.step, self.steps)
                pending.append((self._network.step(batch.shares[0], batch.examples, batch.step, rate), batch))
                handed_out += 1
            if pending:
                counted += self._take(*pending.popleft())
            elif self._end.stopping:
                self._leave()
            if time.monotonic() - self._saved_at >= self._every:
                while pending:
                    counted += self._take(*pending.popleft())
                self._save()
        self.timings.step_seconds += time.monotonic() - began
        self.timings.examples += counted

    def _take(self, handed_out: Any, batch: Batch) -> int:
        """Count what came back of one step; returns its examples."""
        began = time.monotonic()
        measured = self._network.fetch(handed_out)
        self._require_finite(measured)
        if not self.timings.steps:
            self.timings.first_step_seconds = time.monotonic() - began
        self.timings.steps += 1
        self._stale.append(measured.staleness)
        self.state.add([measured.row])
        self.state.step, self.state.metrics = self.state.step + 1, self._network.metrics
        now = means(measured.row, self._network.metrics)
        self._end.progress(self.state.step, epoch=len(self.state.epochs) + 1, staleness=measured.staleness, **now)
        return batch.examples

    def _finish_epoch(self) -> None:
        state = self.state
        self._network.join()
        entry: dict[str, Any] = {"epoch": len(state.epochs) + 1, "step": state.step}
        entry |= means([sum(column) for column in zip(*state.sums, strict=True)], state.metrics)
        entry["staleness"] = sum(self._stale) / max(len(self._stale), 1)
        entry["validation"] = self._validate()
        entry["workers"] = []
        state.epochs.append(entry)
        state.sums, self._stale = [], []
        watched = self._params.early_stopping
        if watched and watched.metric not in entry["validation"]:
            raise BadInput(
                f"early_stopping.metric {watched.metric!r} is not measured; the recipe measures: "
                f"{', '.join(entry['validation'])}"
            )
        wanted = kept(state.epochs, self._params)
        if len(state.epochs) - 1 in wanted:
            self.kept[len(state.epochs) - 1] = self._network.weights()
        self.kept = {epoch: self.kept[epoch] for epoch in wanted}
        self._log.info("epoch", **{key: value for key, value in entry.items() if key != "workers"})

    def _validate(self) -> dict[str, float]:
        order = InSequence(self._examples.sizes("validation"), self._params.batch_size)
        if not order.steps:
            return {}
        feed = Feed(lambda step: self._slicer.batch("validation", step, order.batch(step)), range(order.steps))
        sums: list[float] = []
        try:
            for measured in self._measure(feed, order.steps):
                sums = [a + b for a, b in zip(sums, measured.row, strict=True)] if sums else measured.row
                self._end.report("alive", doing="evaluation")
        finally:
            feed.close()
        return means(sums, self._network.metrics)

    def _measure(self, feed: Feed, steps: int) -> Iterator[Measured]:
        pending: deque[Any] = deque()
        for _ in range(steps):
            pending.append(self._network.evaluate(self._next(feed).shares[0]))
            if len(pending) >= _AHEAD * self._workers:
                yield self._network.fetch(pending.popleft())
        while pending:
            yield self._network.fetch(pending.popleft())

    def _next(self, feed: Feed) -> Batch:
        while (batch := feed.get(1.0)) is None:
            self._end.report("alive", doing="waiting for examples")
        return batch

    def _leave(self) -> None:
        """Store a checkpoint and go: a member was told to."""
        with busy(self._end, "checkpoint"):
            self._save()
            self._saver.flush(_PREEMPTED_CHECKPOINT)
        if self._saver.newest != self.state.step:
            self._log.warning("preempted without a checkpoint of the last step", step=self.state.step)
        raise Preempted(f"told to leave: stopped after step {self.state.step}, the next start goes on from there")

    def _require_finite(self, measured: Measured) -> None:
        if not all(math.isfinite(value) for value in measured.row):
            raise BadInput(
                f"the loss is not a number any more at step {self.state.step + 1} (sums {measured.row}): lower the "
                "recipe's learning_rate, set its clip_norm, or use fewer workers"
            )

    def _save(self) -> None:
        """While nothing is handed out, so that it is the state after exactly these steps."""
        started = time.monotonic()
        self._network.join()
        self._saver.submit(Checkpoint(self.state.copy(), self._network.snapshot(), dict(self.kept)))
        self._saved_at = time.monotonic()
        self.timings.stalls.append(self._saved_at - started)

    def save_last(self) -> None:
        """Store a checkpoint of the end, so that a failing export need not train again."""
        if self._saver.newest != self.state.step:
            self._save()
            self._saver.flush(_LAST_CHECKPOINT)
