"""Layers that keep what the champion knew, while the others learn: ``train.freeze``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.errors import BadInput

if TYPE_CHECKING:
    import keras

    from tasks.training.runs import Training


def freeze(network: keras.Model, names: Sequence[str]) -> None:
    """Leave the weights of these layers out of the training; before an optimizer is made for the others.

    Raises:
        BadInput: the network has no such layer, or none would be left to learn; says which can be named.
    """
    layers = dict(_layers(network))
    if unknown := [name for name in names if name not in layers]:
        raise BadInput(
            f"train.freeze: the recipe's network has no layer {', '.join(unknown)}; it has {', '.join(layers)}"
        )
    for name in names:
        layers[name].trainable = False
    if not network.trainable_weights:
        raise BadInput(f"train.freeze {list(names)} leaves no layer to learn: the network has {', '.join(layers)}")


def require_beginning(training: Training, begun: Mapping[str, Any] | None) -> None:
    """Refuse to freeze what was drawn by chance.

    Raises:
        BadInput: layers are frozen, and the training began without a champion's weights.
    """
    if training.corpus.train.freeze and begun is None:
        raise BadInput(
            f"train.freeze {list(training.corpus.train.freeze)}: there are no weights of a champion to keep (why, is "
            "said above under `no warm start`): train once without freeze and promote, or take it out"
        )


def _layers(network: keras.Model) -> Iterator[tuple[str, keras.Layer]]:
    """The layers that have weights, of networks within the network too."""
    import keras

    for layer in network.layers:
        if not layer.weights:
            continue
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer.name, layer
