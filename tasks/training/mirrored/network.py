"""The network, and the steps that run it and its optimizer on every replica: all that is TensorFlow's."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tasks.errors import BadInput, Corrupt
from tasks.models._dropout import Dropout
from tasks.models.base import MirroredRecipe, StreamRecipe, streams
from tasks.training.freezing import freeze
from tasks.training.mirrored.carried import Carried
from tasks.training.mirrored.feed import Batch
from tasks.training.mirrored.optimizer import optimizer

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

STOP, WAITED, EXAMPLES, LOSS = range(4)
"""Columns of a report; the recipe's metrics follow."""
_CALLS = 1024
"""Draws of chance that a seed generator may make in one step before it meets another replica's."""


@dataclass(frozen=True, slots=True)
class Report:
    """What every worker knows of a step after it: one row a worker, the columns ``STOP`` … ``LOSS`` and metrics."""

    rows: NDArray[np.float64]
    applied: bool = True
    """False: the gradients were not finite, and nothing was changed."""


class Network:
    """One network on all replicas. Every method that computes must be called by every worker alike.

    Randomness of a step is a function of seed and step alone where layers draw for the whole global batch, as
    ``tasks.models._dropout`` does: any number of workers drops the same units. Other layers (an augmentation of
    images) draw for each replica. A resumed training draws what it would have drawn.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        recipe: MirroredRecipe,
        features: pa.Table,
        seed: int,
        worker: int = 0,
        frozen: Sequence[str] = (),
    ) -> None:
        """``frozen`` names layers that do not learn."""
        params = recipe.params
        self._strategy = strategy
        self._recipe = recipe
        self.total: int = strategy.num_replicas_in_sync
        """Replicas of all workers."""
        self._local = len(strategy.extended.worker_devices)
        self.replicas = range(worker * self._local, (worker + 1) * self._local)
        """This worker's."""
        self.workers = self.total // self._local
        self._dynamic = params.precision == "mixed_float16"
        self.metrics: tuple[str, ...] = ()
        """Names of the recipe's metrics, known after the first step."""
        keras.utils.set_random_seed(seed % 2**32)
        keras.mixed_precision.set_dtype_policy(params.precision)
        with strategy.scope():
            self.model = recipe.network(features)
            refuse_drifting(self.model)
            freeze(self.model, frozen)
            self.optimizer = optimizer(params)
            self.optimizer.build(self.model.trainable_variables)
            self._carried = self._lanes(recipe) if streams(recipe) else None
        weights = {id(variable) for variable in self.model.weights}
        self._seeds = [variable for variable in self.model.variables if id(variable) not in weights]
        layers = self.model._flatten_layers()
        common = {id(layer.seed_generator.state) for layer in layers if isinstance(layer, Dropout) and layer.rate}
        self._common = [id(variable) in common for variable in self._seeds]
        self._step = tf.function(self._train, reduce_retracing=True, autograph=False)
        self._judge = tf.function(self._evaluate, reduce_retracing=True, autograph=False)
        self._meet = tf.function(self._agree, autograph=False)

    def _lanes(self, recipe: Any) -> Carried:
        stream: StreamRecipe = recipe
        return Carried(stream.params.batch_size, stream.state_size, self.total)

    # what is computed together

    def step(self, batch: Batch, *, stop: bool, waited: float, rate: float, scale: float) -> Report:
        """One step of training on a global batch; the gradients of all workers are summed, then applied.

        ``loss`` is the sum of the examples' weighted losses over the number of real examples in the global batch.
        """
        given = [
            self._spread([dict(share.arrays) for share in batch.shares]),
            self._spread([share.real for share in batch.shares]),
            self._spread([share.weights for share in batch.shares]),
        ]
        rows, finite = self._step(
            *given,
            tf.constant([float(stop), waited / self._local]),
            tf.constant(float(batch.examples)),
            tf.constant(batch.step, tf.int64),
            tf.constant(rate),
            tf.constant(scale),
        )
        return Report(self._by_worker(rows), bool(finite))

    def evaluate(self, batch: Batch, *, stop: bool) -> Report:
        """The sums of losses and metrics on a global batch, nothing trained."""
        rows = self._judge(
            self._spread([dict(share.arrays) for share in batch.shares]),
            self._spread([share.real for share in batch.shares]),
            tf.constant([float(stop), 0.0]),
        )
        return Report(self._by_worker(rows))

    def agree(self, values: Sequence[float]) -> NDArray[np.float64]:
        """What every worker says, a row each; numbers up to 2**24 arrive exactly."""
        rows = self._meet(tf.constant(list(values), tf.float32)).numpy()
        return np.asarray(rows, np.float64)

    def reduce_seconds(self, times: int = 5) -> tuple[float, float]:
        """Seconds that a step's sum of gradients and report takes, and that the report's alone takes; medians."""

        def summed(gradients: bool) -> Any:
            shapes = [variable.shape for variable in self.model.trainable_variables] if gradients else []

            def forward() -> list[tf.Tensor]:
                values = [tf.zeros(shape) for shape in [*shapes, (self.total, LOSS + 1 + len(self.metrics))]]
                return list(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values))

            return tf.function(lambda: self._one(self._strategy.run(forward)[-1]), autograph=False)

        return self._median(summed(True), times), self._median(summed(False), times)

    def _median(self, call: Any, times: int) -> float:
        call()
        seconds = []
        for _ in range(times):
            started = time.perf_counter()
            call().numpy()
            seconds.append(time.perf_counter() - started)
        return float(np.median(seconds))

    # what one replica holds, and all hold alike

    @property
    def variables(self) -> dict[str, Any]:
        """All that a checkpoint keeps of network, its seed generators and optimizer, by name."""
        named = {f"network/{i:05d}": variable for i, variable in enumerate(self.model.variables)}
        named |= {f"optimizer/{i:05d}": variable for i, variable in enumerate(self.optimizer.variables)}
        return named | ({"carried": self._carried.variable} if self._carried else {})

    def snapshot(self) -> dict[str, tf.Tensor]:
        """The variables' values now. Quick: a value is copied only when a later step changes it."""
        return {name: tf.convert_to_tensor(variable.value) for name, variable in self.variables.items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]], source: str) -> None:
        """Set every variable.

        Raises:
            Corrupt: ``arrays`` are not this network's.
        """
        variables = self.variables
        for name, variable in variables.items():
            if name not in arrays or arrays[name].shape != tuple(variable.shape):
                found = f"shape {arrays[name].shape}" if name in arrays else "nothing"
                raise Corrupt(
                    f"{source} holds {found} for {name} ({variable.path}), expected shape {tuple(variable.shape)}"
                )
        with self._strategy.scope():
            for name, variable in variables.items():
                variable.assign(arrays[name])

    def digest(self) -> str:
        """sha256 (hex) of every variable's bytes."""
        digest = hashlib.sha256()
        for name, tensor in self.snapshot().items():
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    def checksum(self) -> int:
        """32 quick bits of the same."""
        check = 0
        for tensor in self.snapshot().values():
            check = zlib.crc32(tensor.numpy().tobytes(), check)
        return check

    def weights(self) -> list[NDArray[Any]]:
        """The network's weights, as the recipe's ``model`` takes them."""
        return [np.array(array) for array in self.model.get_weights()]

    def begin(self, weights: Sequence[NDArray[Any]]) -> None:
        """Start from these weights, in the order of ``weights``, and not from the ones drawn."""
        self.model.set_weights(list(weights))

    def forget(self) -> None:
        """Begin the stream anew: no lane carries anything."""
        if self._carried:
            with self._strategy.scope():
                self._carried.forget()

    # graphs

    def _train(
        self,
        batch: Any,
        real: Any,
        weights: Any,
        own: tf.Tensor,
        examples: tf.Tensor,
        number: tf.Tensor,
        rate: tf.Tensor,
        scale: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        trained: list[Any] = []

        def forward(batch: Any, real: tf.Tensor, weights: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
            context = tf.distribute.get_replica_context()
            seeds = [tf.convert_to_tensor(seed.value) for seed in self._seeds]
            own_place = number * self.total + tf.cast(context.replica_id_in_sync_group, tf.int64)
            for i, (variable, seed) in enumerate(zip(self._seeds, seeds, strict=True)):
                place = (number if self._common[i] else own_place) * _CALLS
                # A recipe gives all its layers one seed: those of the same shape would draw the same.
                variable.assign(tf.stack([seed[0] + i, tf.cast(place, seed.dtype)]))
            with tf.GradientTape() as tape:
                measured, left = self._measure(batch, True)
                loss = tf.reduce_sum(tf.cast(measured["loss"], tf.float32) * weights) / examples
                if self.model.losses:  # what layers add of themselves, as a weight's norm
                    loss += tf.add_n(self.model.losses) / self.total
                scaled = loss * scale if self._dynamic else loss
            gradients = tape.gradient(scaled, self.model.trainable_variables)
            for variable, seed in zip(self._seeds, seeds, strict=True):
                variable.assign(seed)
            known = [
                (gradient, variable)
                for gradient, variable in zip(gradients, self.model.trainable_variables, strict=True)
                if gradient is not None
            ]
            trained[:] = [variable for _, variable in known]
            # Dense: summing an embedding's slices over workers would gather them first, which took longer.
            dense = [tf.convert_to_tensor(gradient) for gradient, _ in known]
            row = self._row(measured, real, weights, own)
            lanes = self._carried.spread(left, real) if self._carried else []
            *summed, rows = context.all_reduce(tf.distribute.ReduceOp.SUM, [*dense, *lanes, row])
            if self._carried:
                self._carried.keep(summed.pop())
            return [gradient / scale for gradient in summed] if self._dynamic else summed, rows

        def apply(gradients: list[tf.Tensor]) -> None:
            self.optimizer.apply(gradients, trained)

        self.optimizer.learning_rate.assign(rate)
        gradients, rows = self._strategy.run(forward, args=(batch, real, weights))
        if not self._dynamic:
            self._strategy.run(apply, args=(gradients,))
            return self._one(rows), tf.constant(True)
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(self._one(gradient))) for gradient in gradients])

        def applied() -> tf.Tensor:
            self._strategy.run(apply, args=(gradients,))
            return tf.constant(True)

        return self._one(rows), tf.cond(finite, applied, lambda: tf.constant(False))

    def _evaluate(self, batch: Any, real: Any, own: tf.Tensor) -> tf.Tensor:
        def forward(batch: Any, real: tf.Tensor) -> tf.Tensor:
            measured, left = self._measure(batch, False)
            row = self._row(measured, real, real, own)
            lanes = self._carried.spread(left, real) if self._carried else []
            context = tf.distribute.get_replica_context()
            *summed, rows = context.all_reduce(tf.distribute.ReduceOp.SUM, [*lanes, row])
            if self._carried:
                self._carried.keep(*summed)
            return rows

        return self._one(self._strategy.run(forward, args=(batch, real)))

    def _measure(self, batch: Any, training: bool) -> tuple[dict[str, tf.Tensor], Any]:
        """What the recipe measures, and the state that a stream's examples leave behind."""
        if self._carried is None:
            return dict(self._recipe.losses(self.model, batch, training)), None
        size = tf.shape(next(iter(batch.values())))[0]
        measured = dict(self._recipe.losses(self.model, {**batch, "state": self._carried.of(size)}, training))
        return measured, measured.pop("state")

    def _agree(self, values: tf.Tensor) -> tf.Tensor:
        def forward() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
            mine = tf.where(replica % self._local == 0, values, tf.zeros_like(values))
            shape = [self.workers, tf.size(values)]
            row = tf.scatter_nd([[replica // self._local]], [mine], shape)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, row)

        return self._one(self._strategy.run(forward))

    def _row(self, measured: Mapping[str, tf.Tensor], real: tf.Tensor, weights: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
        """This replica's row of the report, the other rows 0: their sum over replicas is the report."""
        names = tuple(sorted(set(measured) - {"loss"}))
        self.metrics = names
        sums = [tf.reduce_sum(tf.cast(measured["loss"], tf.float32) * weights)]
        sums += [tf.reduce_sum(tf.cast(measured[name], tf.float32) * real) for name in names]
        row = tf.concat([own, tf.stack([tf.reduce_sum(real), *sums])], 0)
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        return tf.scatter_nd([[replica]], [row], [self.total, row.shape[0]])

    # between one worker and its replicas

    def _spread(self, values: Sequence[Any]) -> Any:
        """One value for each of this worker's replicas, as ``run`` takes them."""
        if self._local == 1:
            return tf.nest.map_structure(tf.convert_to_tensor, values[0])

        def value(context: Any, key: str | None) -> Any:
            mine = values[int(context.replica_id_in_sync_group) - self.replicas.start]
            return tf.convert_to_tensor(mine if key is None else mine[key])

        spread = self._strategy.experimental_distribute_values_from_function
        if isinstance(values[0], dict):
            return {key: spread(lambda context, key=key: value(context, key)) for key in values[0]}
        return spread(lambda context: value(context, None))

    def _one(self, value: Any) -> tf.Tensor:
        return self._strategy.experimental_local_results(value)[0]

    def _by_worker(self, rows: tf.Tensor) -> NDArray[np.float64]:
        whole: NDArray[np.float64] = np.asarray(rows.numpy(), np.float64)
        return np.asarray(whole.reshape(self.workers, self._local, -1).sum(axis=1))


def refuse_drifting(model: keras.Model) -> None:
    """Refuse layers that keep statistics of what they saw, or that drop or disturb other units on each replica: each
    worker's would be its own, with no error."""
    for layer in model._flatten_layers():
        if not isinstance(layer, Dropout) and (draws := _drawing(layer)):
            raise BadInput(
                f"layer {layer.name!r} of the recipe's network is Keras's {type(layer).__name__} with {draws}: another "
                "number of workers would draw other masks; use tasks.models._dropout.Dropout"
            )
        if isinstance(layer, keras.layers.BatchNormalization):
            raise BadInput(
                f"layer {layer.path!r} of the recipe's network is a BatchNormalization: its statistics would drift "
                "apart between workers; use LayerNormalization or GroupNormalization"
            )


def _drawing(layer: keras.Layer) -> str:
    """What a layer draws its masks or its noise by, as ``rate=0.5``; nothing where it draws none.

    Of Keras's layers those that draw while they train have a ``seed_generator``: dropouts, noises, the cells of
    recurrent layers, attention. Augmentations of what comes in have another one.
    """
    if not isinstance(getattr(layer, "seed_generator", None), keras.random.SeedGenerator):
        return ""
    known = {name: getattr(layer, name, None) for name in ("rate", "stddev", "dropout", "recurrent_dropout")}
    return ", ".join(f"{name}={value}" for name, value in known.items() if isinstance(value, int | float) and value > 0)
