"""One model of several: what weights, counts and votes become when parts are merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tasks.errors import BadInput

if TYPE_CHECKING:
    import numpy as np


def average(parts: Sequence[Sequence[np.ndarray]], weights: Sequence[float]) -> list[np.ndarray]:
    """The mean of each array over the parts, weighted by ``weights`` = |D_i| / |D|, which sum to 1.

    Of parts that each took one step w - eta * grad L(w; D_i) from the same w, it is the step of all the
    data together, w - eta * sum |D_i| / |D| * grad L(w; D_i): federated averaging with one local step
    (McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017,
    section 2). Of checkpoints of one training it is their stochastic weight average (Izmailov et al.,
    Averaging Weights Leads to Wider Optima and Better Generalization, 2018).

    Raises:
        BadInput: the parts' arrays have different shapes.
    """
    import numpy as np

    shapes = [[array.shape for array in part] for part in parts]
    if any(shape != shapes[0] for shape in shapes):
        raise BadInput("the parts have different shapes: prepare and train every part again")
    # Summed in float64: the mean of equal float32 arrays is then the array itself.
    return [
        np.sum([w * array.astype(np.float64) for w, array in zip(weights, arrays, strict=True)], axis=0).astype(
            arrays[0].dtype
        )
        for arrays in zip(*parts, strict=True)
    ]


def sum_counts(parts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Each key's counts summed over the parts, by key."""
    keys = sorted({key for part in parts for key in part})
    return {key: sum(part.get(key, 0) for part in parts) for key in keys}


def soft_vote(
    chances: Sequence[np.ndarray], labels: Sequence[Sequence[str]], weights: Sequence[float], over: Sequence[str]
) -> np.ndarray:
    """The mean of the parts' class probabilities over the classes ``over``, weighted by ``weights``.

    ``chances[i]`` has shape ``(rows, len(labels[i]))``; a part gives 0 to a class that it never saw.
    """
    import numpy as np

    columns = {label: column for column, label in enumerate(over)}
    total = np.zeros((len(chances[0]), len(over)))
    for part, known, weight in zip(chances, labels, weights, strict=True):
        total[:, [columns[label] for label in known]] += weight * part
    return total


def by_name(
    start: np.ndarray, names: Sequence[Any], champion: np.ndarray, known: Sequence[Any], axis: int = 0
) -> np.ndarray:
    """``start`` with the slices along ``axis`` that have a name of the ``champion``'s replaced by the champion's.

    Raises:
        BadInput: the slices have different shapes.
    """
    import numpy as np

    moved, given = np.moveaxis(np.array(start), axis, 0), np.moveaxis(champion, axis, 0)
    if moved.shape[1:] != given.shape[1:]:
        raise BadInput(f"its weights have slices of shape {given.shape[1:]}, this network's {moved.shape[1:]}")
    places = {name: place for place, name in enumerate(known)}
    for place, name in enumerate(names):
        if name in places:
            moved[place] = given[places[name]]
    return np.moveaxis(moved, 0, axis)
