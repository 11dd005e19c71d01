"""The interface of a recipe, and the registry of the ones there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from tasks.registry import Registry
from tasks.section import Section
from tasks.step import Shard

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from tasks.models._fit import FitParams

Columns = Mapping[str, Sequence[str | None]]
"""Values of rows by column."""

NO_COLUMNS: Columns = MappingProxyType({})


class Scoring(Protocol):
    """What a model can do once it is trained: a recipe's, or a vote of several."""

    columns: tuple[str, ...]
    """What it reads of a row beside its text and label: of ``uid``, ``group``, ``language`` and its kind's columns."""

    def labels(self, model: Any) -> list[str]:
        """The classes, in the column order of ``predict``."""

    def predict(self, model: Any, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        """Class probabilities, shape ``(len(texts), len(labels))``, float64; ``columns`` as the recipe names them."""

    def facts(self, model: Any) -> dict[str, int]:
        """What the model is made of, for manifests and reports, e.g. trees and nodes."""

    def save(self, model: Any, folder: Path) -> None:
        """Write the model as files of formats that run no code when loaded; equal models give equal bytes."""

    def load(self, folder: Path) -> Any:
        """Read what ``save`` wrote.

        Raises:
            Corrupt: the files hold anything but this recipe's own types.
        """


class Recipe(Scoring, Protocol):
    """One model family: how to count features, score, save and load it.

    ``spread`` says how training uses several workers, and which protocol adds the fitting:
    ``sharded`` (``ShardedRecipe``) fits one part a shard and merges the parts; ``mirrored``
    (``MirroredRecipe``) trains one network on all workers in step. Batches are Arrow tables
    with ``uid``, ``text``, ``label`` (never null) and the recipe's ``columns``. Heavy libraries are imported inside the
    methods: the configuration imports every recipe that a YAML names.
    """

    Params: ClassVar[type[Section]]
    spread: ClassVar[str]
    version: ClassVar[int]
    libraries: ClassVar[tuple[str, ...]]
    """Distributions whose version shapes the model."""

    merges: ClassVar[tuple[str, ...]]
    """The ways of ``train.merge`` that it has, its own first; ``vote`` needs nothing of the recipe."""

    def __init__(self, params: Any, seed: int) -> None: ...

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        """Map: what one shard of the train split contributes to the features, in a fixed row order."""

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        """Reduce: the features of the whole train split, which has ``rows`` labelled rows.

        One row a feature; the same whatever the sharding; empty when nothing is left to learn from.
        """


class ShardedRecipe(Recipe, Protocol):
    """A recipe whose shards are fitted alone, in parallel, and united afterwards."""

    def fit(self, batches: Iterator[pa.Table], features: pa.Table, shard: Shard) -> Any:
        """Train on one shard of the train split, with the features of all of it.

        A shard may lack classes; it has at least one row.
        """

    def merge(self, models: Sequence[Any], weights: Sequence[float]) -> Any:
        """One model of several parts; ``weights`` are |D_i| / |D| and sum to 1."""


class RoundsRecipe(ShardedRecipe, Protocol):
    """A sharded recipe whose parameters say how many ``rounds`` there are: steps of all shards from one model.

    With them ``fit`` makes the first step of a shard, or all of the only one; ``merge`` is exact for a step.
    """

    def again(self, batches: Iterator[pa.Table], features: pa.Table, before: Any) -> Any:
        """One further step on a shard, from ``before``: what ``merge`` made of all shards' last step."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of an encoded example: ``shape`` numbers, or a list of any length where it is None.

    ``uint8`` are bytes, as of an encoded image: always of any length.
    """

    dtype: Literal["int64", "float32", "uint8"]
    shape: tuple[int, ...] | None = ()


class MirroredRecipe(Recipe, Protocol):
    """A recipe whose workers train one network in step, each on its slice of every global batch.

    The loop (``tasks.training.mirrored``) owns batches, gradients, schedules, checkpoints and early stopping;
    the recipe says what an example is, what the network looks like and what an error costs. A network
    must not hold statistics that drift apart between workers (BatchNormalization is refused), and no
    randomness beyond Keras's own seed generators, whose state is checkpointed.
    """

    params: FitParams

    def fields(self) -> Mapping[str, Field]:
        """The columns of an encoded example: ``label`` (int64) among them where there is one, ``part`` (int64, from 0)
        where a row may become several."""

    def encode(self, batches: Iterator[pa.Table], features: pa.Table) -> Iterator[Mapping[str, Sequence[Any]]]:
        """Map: the rows of one shard as columns of ``fields``, a few hundred examples at a time.

        A row whose label the features do not know is left out. The same whatever the sharding.
        """

    def network(self, features: pa.Table) -> keras.Model:
        """The untrained network; called within the strategy's scope, after the seed was set."""

    def inputs(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, np.ndarray]:
        """Encoded examples as arrays of equal length, padded and cut; what ``losses`` gets as ``batch``.

        But for their number of rows, shapes are the same for all examples: workers that trace a step
        anew at different batches would wait for each other for ever.
        """

    def losses(self, network: keras.Model, batch: Mapping[str, tf.Tensor], training: bool) -> Mapping[str, tf.Tensor]:
        """Run the network: ``loss`` and any metric (as ``accuracy``), each float32 of shape ``(examples,)``."""

    def model(self, weights: Sequence[np.ndarray], features: pa.Table) -> Any:
        """A trained network as the model that ``predict``, ``save`` and ``merge`` take.

        ``weights`` are ``network(features).get_weights()`` after training.
        """

    def warm(self, start: Sequence[np.ndarray], features: pa.Table, champion: Any) -> Sequence[np.ndarray]:
        """``start``, the untrained network's weights, with the champion's for all terms and labels that both have.

        Raises:
            BadInput: the champion's network has another shape.
        """

    def merge(self, models: Sequence[Any], weights: Sequence[float]) -> Any:
        """One model of several checkpoints of one training."""


class StreamRecipe(MirroredRecipe, Protocol):
    """A mirrored recipe whose examples are windows of running text: with what one leaves behind, the next begins.

    The examples of a split, as they are numbered, are one stream. It is cut into ``batch_size`` lanes that are read
    side by side, a window of each a step (truncated backpropagation through time). ``losses`` finds the state of its
    examples' lanes in ``batch["state"]``, float32 of shape ``(examples, state_size)``, all 0 where a lane begins,
    and returns under ``state`` what the next window is to find; no gradient flows from one to the next.
    """

    streams: ClassVar[bool]

    @property
    def state_size(self) -> int:
        """Numbers that a lane carries from window to window."""


RECIPES: Registry[type[Recipe]] = Registry("tasks.models", kind="recipe")


def kinds_of(recipe: Any) -> tuple[str, ...]:
    """The kinds of data that a recipe learns from: what it names as ``kinds``, else documents."""
    kinds: tuple[str, ...] = getattr(recipe, "kinds", ("documents",))
    return kinds


def streams(recipe: Any) -> bool:
    """Whether its examples are windows of a stream with a state that is carried: where it says ``streams = True``."""
    wanted: bool = getattr(recipe, "streams", False)
    return wanted


def labelled(recipe: Any) -> bool:
    """Whether it learns from labels, so that a row without one is left out: unless it says ``labelled = False``."""
    wanted: bool = getattr(recipe, "labelled", True)
    return wanted


def files_of(recipe: Any) -> dict[str, str]:
    """Files beside the corpus that shape its models, as pretrained weights: the sha256 (hex) of each by where it lies.
    A recipe that has some says so in a method ``files``."""
    told = getattr(recipe, "files", None)
    return dict(told()) if told else {}


def judge_of(recipe: Any) -> str:
    """How its predictions are measured (``tasks.judging``): what it names as ``judge``, else ``classes``."""
    judge: str = getattr(recipe, "judge", "classes")
    return judge
