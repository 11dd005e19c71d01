"""Optimizers that take gradients as all workers summed them."""

from __future__ import annotations

from typing import Any

import keras

from tasks.models._fit import FitParams


class _Reduced:
    """For optimizers that are given gradients which were summed over the workers already.

    Keras would clip before it sums, and so cut each worker's gradient by another norm.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[Any]:
        return list(grads_and_vars)


class _Adam(_Reduced, keras.optimizers.Adam):  # type: ignore[misc]
    pass


class _AdamW(_Reduced, keras.optimizers.AdamW):  # type: ignore[misc]
    pass


class _SGD(_Reduced, keras.optimizers.SGD):  # type: ignore[misc]
    pass


def optimizer(params: FitParams) -> keras.optimizers.Optimizer:
    """The optimizer that the parameters name, its learning rate yet to be scheduled."""
    shared: dict[str, Any] = {
        "name": params.optimizer,
        "learning_rate": params.learning_rate,
        "global_clipnorm": params.clip_norm,
    }
    match params.optimizer:
        case "adamw":
            return _AdamW(weight_decay=params.weight_decay, **shared)
        case "sgd":
            return _SGD(**shared)
        case _:
            return _Adam(**shared)
