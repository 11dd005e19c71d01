"""The network whose variables lie on the servers, and the steps that a worker takes on them: all that is TensorFlow's.

Keras 3 knows no parameter server. But it computes with whatever values it is given (``keras.StatelessScope``): a worker
reads the servers' variables, has Keras compute loss and gradients with these values, and has the servers apply them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tasks.errors import BadInput, Corrupt
from tasks.models.base import MirroredRecipe
from tasks.training.freezing import freeze
from tasks.training.mirrored.feed import Share
from tasks.training.mirrored.network import refuse_drifting

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7
"""Keras's own for Adam."""
_CALLS = 1024
"""Draws of chance that a seed generator may make in one step before it meets another step's."""
_OTHERS_TAKE_OVER = 60.0
"""Seconds in which another worker, or the one started anew, does again what a lost one did."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one worker says of one batch."""

    row: list[float]
    """Examples, the sum of weighted losses, and of each metric."""
    staleness: int
    """Updates by others between reading the variables and changing them."""


class Network:
    """One network on the servers. What is handed out runs on some worker; nobody waits for the others."""

    def __init__(
        self,
        cluster: Mapping[str, list[str]],
        recipe: MirroredRecipe,
        features: pa.Table,
        seed: int,
        frozen: Sequence[str] = (),
    ) -> None:
        """Meets the cluster, whose members must all be listening. ``frozen`` names layers that do not learn."""
        params = recipe.params
        if params.precision == "mixed_float16":
            raise BadInput(
                "precision: mixed_float16 scales the loss by what all gradients of a step say, and parameter servers "
                "know no such step: take float32 or mixed_bfloat16, or strategy: mirrored"
            )
        self._recipe, self._params = recipe, params
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(dict(cluster)), task_type="chief", task_id=0, rpc_layer="grpc"
        )
        strategy = tf.distribute.ParameterServerStrategy(resolver)
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        # After the cluster is met: it gives this process's own devices other names.
        keras.utils.set_random_seed(seed % 2**32)
        keras.mixed_precision.set_dtype_policy(params.precision)
        self.model = recipe.network(features)
        refuse_drifting(self.model)
        freeze(self.model, frozen)
        weights = {id(variable) for variable in self.model.weights}
        self._seeds = [variable for variable in self.model.variables if id(variable) not in weights]
        self._seed = seed % 2**31
        with strategy.scope():
            self._variables = [tf.Variable(w.numpy(), name=f"w{i}") for i, w in enumerate(self.model.weights)]
            place = {id(w): variable for w, variable in zip(self.model.weights, self._variables, strict=True)}
            self._trained = [place[id(w)] for w in self.model.trainable_variables]
            slots = 0 if params.optimizer == "sgd" else 2
            self._slots = [[tf.Variable(tf.zeros_like(v)) for _ in range(slots)] for v in self._trained]
            self._updates = tf.Variable(0, dtype=tf.int64, name="updates")
        self.metrics: tuple[str, ...] = ()
        """Names of the recipe's metrics, known after the first step."""
        self._step = tf.function(self._train, reduce_retracing=True, autograph=False)
        self._judge = tf.function(self._evaluate, reduce_retracing=True, autograph=False)

    # what workers do

    def step(self, share: Share, examples: int, number: int, rate: float) -> Any:
        """Have some worker take step ``number`` on a batch; ``fetch`` waits for it."""
        given = (
            dict(share.arrays),
            share.real,
            share.weights,
            np.float32(examples),
            np.int64(number),
            np.float32(rate),
        )
        return self._coordinator.schedule(self._step, args=tf.nest.map_structure(tf.convert_to_tensor, given))

    def evaluate(self, share: Share) -> Any:
        """Have some worker measure a batch; ``fetch`` waits for it."""
        given = tf.nest.map_structure(tf.convert_to_tensor, (dict(share.arrays), share.real))
        return self._coordinator.schedule(self._judge, args=given)

    @staticmethod
    def fetch(handed_out: Any) -> Measured:
        """What came of it.

        A result lies with its worker until it is copied here, by TensorFlow's thread for that worker or by this one,
        whichever asks first. If the worker dies in between, that thread hands the step out again; this one must wait,
        for so long from the loss on: how long the step took before says nothing.

        Raises:
            tf.errors.OpError: a server is lost, or a worker whose work nobody took over.
        """
        deadline = None
        while True:
            try:
                row, staleness = handed_out.fetch()
            except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InvalidArgumentError) as error:
                now = time.monotonic()
                deadline = deadline or now + _OTHERS_TAKE_OVER
                if not _lost_worker(error) or now > deadline:
                    raise
                time.sleep(0.05)
            else:
                return Measured([float(value) for value in row], int(staleness))

    def join(self) -> None:
        """Wait until nothing is handed out."""
        self._coordinator.join()

    # what the servers hold, while nothing is handed out

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """All that a checkpoint keeps, by name."""
        named = {f"network/{i:05d}": variable for i, variable in enumerate(self._variables)}
        flat = [slot for slots in self._slots for slot in slots]
        return named | {f"optimizer/{i:05d}": slot for i, slot in enumerate(flat)}

    def snapshot(self) -> dict[str, tf.Tensor]:
        """The values now."""
        return {name: tf.identity(variable.read_value()) for name, variable in self.variables.items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]], source: str) -> None:
        """Set every variable.

        Raises:
            Corrupt: ``arrays`` are not this network's.
        """
        for name, variable in self.variables.items():
            if name not in arrays or arrays[name].shape != tuple(variable.shape):
                found = f"shape {arrays[name].shape}" if name in arrays else "nothing"
                raise Corrupt(f"{source} holds {found} for {name}, expected shape {tuple(variable.shape)}")
            variable.assign(arrays[name])

    def weights(self) -> list[NDArray[Any]]:
        """The network's weights, as the recipe's ``model`` takes them."""
        return [np.array(variable.read_value()) for variable in self._variables]

    def begin(self, weights: Sequence[NDArray[Any]]) -> None:
        """Start from these weights, and not from the ones drawn."""
        for variable, array in zip(self._variables, weights, strict=True):
            variable.assign(array)

    # graphs, traced by the chief and run by the workers

    def _train(
        self, batch: Any, real: tf.Tensor, weights: tf.Tensor, examples: tf.Tensor, number: tf.Tensor, rate: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        before = self._updates.read_value()
        with tf.control_dependencies([before]):
            values = [variable.read_value() for variable in self._variables]
        place = {id(variable): value for variable, value in zip(self._variables, values, strict=True)}
        trained = [place[id(variable)] for variable in self._trained]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(trained)
            measured, added = self._losses(batch, values, number, training=True)
            loss = tf.reduce_sum(tf.cast(measured["loss"], tf.float32) * weights) / examples + added
        found = tape.gradient(loss, trained, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradients = [tf.convert_to_tensor(gradient) for gradient in found]
        if self._params.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._params.clip_norm)
        with tf.control_dependencies(gradients):
            now = self._updates.read_value()
        with tf.control_dependencies([now]):
            applied = self._apply(gradients, tf.cast(number + 1, tf.float32), rate)
        with tf.control_dependencies(applied):
            counted = self._updates.assign_add(1)
        with tf.control_dependencies([counted.read_value() if hasattr(counted, "read_value") else counted]):
            return self._row(measured, real, weights), now - before

    def _evaluate(self, batch: Any, real: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        values = [variable.read_value() for variable in self._variables]
        measured, _ = self._losses(batch, values, tf.constant(0, tf.int64), training=False)
        return self._row(measured, real, real), tf.constant(0, tf.int64)

    def _losses(
        self, batch: Any, values: Sequence[tf.Tensor], number: tf.Tensor, *, training: bool
    ) -> tuple[Mapping[str, tf.Tensor], tf.Tensor]:
        mapping = list(zip(self.model.weights, values, strict=True))
        for place, seed in enumerate(self._seeds):  # masks are a function of seed and step, whoever takes it
            drawn = tf.stack([tf.constant(self._seed + place, tf.int64), number * _CALLS])
            mapping.append((seed, tf.cast(drawn, seed.dtype)))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            measured = self._recipe.losses(self.model, batch, training)
            added = tf.add_n(self.model.losses) if training and self.model.losses else tf.constant(0.0)
            for weight, value in zip(self.model.weights, values, strict=True):
                if scope.get_current_value(weight) is not value:
                    raise BadInput(
                        f"{weight.path} of the recipe's network is changed by the network itself: with parameter "
                        "servers, gradients alone change a network; take strategy: mirrored"
                    )
        return measured, added

    def _apply(self, gradients: Sequence[tf.Tensor], count: tf.Tensor, rate: tf.Tensor) -> list[Any]:
        """The optimizer, on the server that holds each variable."""
        done = []
        for variable, slots, gradient in zip(self._trained, self._slots, gradients, strict=True):
            with tf.device(variable.device):
                if not slots:
                    done.append(
                        tf.raw_ops.ResourceApplyGradientDescent(
                            var=variable.handle, alpha=rate, delta=gradient, use_locking=True
                        )
                    )
                    continue
                if self._params.weight_decay:
                    shrunk = variable.assign_sub(variable.read_value() * rate * self._params.weight_decay)
                    done.append(shrunk.op if hasattr(shrunk, "op") else shrunk)
                done.append(
                    tf.raw_ops.ResourceApplyAdam(
                        var=variable.handle,
                        m=slots[0].handle,
                        v=slots[1].handle,
                        beta1_power=tf.pow(_BETA_1, count),
                        beta2_power=tf.pow(_BETA_2, count),
                        lr=rate,
                        beta1=_BETA_1,
                        beta2=_BETA_2,
                        epsilon=_EPSILON,
                        grad=gradient,
                        use_locking=True,
                    )
                )
        return done

    def _row(self, measured: Mapping[str, tf.Tensor], real: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        self.metrics = tuple(sorted(set(measured) - {"loss"}))
        sums = [tf.reduce_sum(tf.cast(measured["loss"], tf.float32) * weights)]
        sums += [tf.reduce_sum(tf.cast(measured[name], tf.float32) * real) for name in self.metrics]
        return tf.stack([tf.reduce_sum(real), *sums])


def _lost_worker(error: tf.errors.OpError) -> bool:
    """Whether a worker is gone, or a new one in its place knows nothing of the result; and no server is to blame."""
    said = str(error)
    if "remote target /job:ps" in said:
        return False
    if isinstance(error, tf.errors.InvalidArgumentError):
        return "unknown device" in said.lower() or "remote_handle" in said or "Primary device is not remote" in said
    return "/job:worker" in said
