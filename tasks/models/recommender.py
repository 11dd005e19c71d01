"""``recommender``: which items a user will want next, from who had what: matrix factorisation, or two towers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from tasks.errors import BadInput, Corrupt
from tasks.models import _interactions
from tasks.models._fit import FitParams
from tasks.models._interactions import Interactions, by_popularity, interactions, next_popular
from tasks.models._merging import average, by_name
from tasks.models._telling import Sheet
from tasks.models._tokens import padded
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.models.base import Field as Column
from tasks.section import Section

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pyarrow as pa
    import tensorflow as tf

    from tasks.models._tensors import Layout

_FAR = 20
"""So many of a user's items are always ranked: what is measured lies within."""
_BATCH = 256
_TOLD = 20


class RecommenderParams(FitParams):
    """Parameters of ``train.recipe.recommender``."""

    epochs: int = Field(10, ge=1, description="passes over the train split, at most")
    batch_size: int = Field(256, ge=1, description="examples of one step, over all workers together")
    learning_rate: float = Field(0.02, gt=0, description="at its highest")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="how the learning rate falls to 0 by the last step, after the warm-up"
    )
    architecture: Literal["matrix_factorisation", "two_tower"] = Field(
        "matrix_factorisation",
        description="matrix_factorisation: a vector a user, a vector an item; two_tower: a network reads the user and "
        "what he had, another one the item",
    )
    dimension: int = Field(64, ge=1, le=4096, description="of a user's and an item's vector")
    units: int = Field(64, ge=1, le=4096, description="of the hidden layer of each tower")
    max_history: int = Field(
        100, ge=1, le=65_536, description="so many of a user's items his tower reads, the last ones by their timestamp"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="share of a user's features left out of each step")
    l2: float = Field(0.03, ge=0, description="penalty an example: this times the squares of its two vectors")
    negatives: int | None = Field(
        None,
        ge=1,
        description="so many items, drawn for every step, stand for all others; null: all others, which is exact and "
        "asks for memory of batch_size times the items",
    )
    min_users: int = Field(1, ge=1, description="users in train that an item has at least, to be recommended")
    repeat: bool = Field(False, description="recommend a user what he already had, too")
    top: int = Field(10, ge=1, le=1000, description="so many items are recommended")


@dataclass(frozen=True, slots=True)
class RecommenderModel:
    """Who had what in the train split, and the weights as the network has them."""

    known: Interactions
    weights: list[np.ndarray]
    built: list[Any] = field(default_factory=list, compare=False, repr=False)
    """Network, vectors and biases of all items, and items by popularity, once something was predicted."""


@dataclass(frozen=True, slots=True)
class Recommended:
    """For each row its user's best items and their scores; of a user whom training never saw the popular ones."""

    items: list[list[str]]
    scores: list[list[float]]
    known: list[bool]
    popular: list[list[str]]
    """What the baseline says: the items that most users have, without those that this one had."""
    first: list[str]
    """The best item if nothing were left out: what a model that says the same to all says to all."""


@RECIPES.register("recommender")
class Recommender:
    """Implicit feedback: what a user had is what he wants more than what he had not.

    The loss of a pair is the cross-entropy of its item among all others (or some, drawn uniformly), given its user.
    Matrix factorisation: Koren, Bell, Volinsky, Matrix Factorization Techniques for Recommender Systems, 2009. Two
    towers, of which the user's reads the mean of what he had, the pair's own item left out: Covington, Adams, Sargin,
    Deep Neural Networks for YouTube Recommendations, 2016, section 3.
    """

    Params: ClassVar[type[Section]] = RecommenderParams
    spread: ClassVar[str] = "mirrored"
    version: ClassVar[int] = 3
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "keras", "numpy", "safetensors")
    merges: ClassVar[tuple[str, ...]] = ("average",)
    kinds: ClassVar[tuple[str, ...]] = ("events",)
    judge: ClassVar[str] = "recommendations"
    labelled: ClassVar[bool] = False
    columns: tuple[str, ...] = ("user", "item", "timestamp")

    def __init__(self, params: RecommenderParams, seed: int) -> None:
        self.params = params
        self._seed = seed % 2**32  # what Keras takes

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        return _interactions.count(batches)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        return _interactions.combine(counts, least=self.params.min_users)

    def fields(self) -> Mapping[str, Column]:
        return {"user": Column("int64"), "item": Column("int64"), "history": Column("int64", None)}

    def encode(self, batches: Iterator[pa.Table], features: pa.Table) -> Iterator[Mapping[str, Sequence[Any]]]:
        known = interactions(features)
        users, items = _places(known.users), _places(known.items)
        for batch in batches:
            pairs = [
                (users[user], items[item])
                for user, item in zip(batch["user"].to_pylist(), batch["item"].to_pylist(), strict=True)
                if user in users and item in items
            ]
            yield {
                "user": [user for user, _ in pairs],
                "item": [item for _, item in pairs],
                "history": [self._history(known, user, item) for user, item in pairs],
            }

    def network(self, features: pa.Table) -> keras.Model:
        known = interactions(features)
        return self._network(len(known.users), len(known.items))

    def inputs(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, np.ndarray]:
        import numpy as np

        arrays = {"history": padded(columns["history"], self._most, np.int32)}
        return {**arrays, **{name: np.asarray(columns[name], np.int32) for name in ("user", "item") if name in columns}}

    def losses(self, network: keras.Model, batch: Mapping[str, tf.Tensor], training: bool) -> Mapping[str, tf.Tensor]:
        import tensorflow as tf

        from tasks.models._towers import ITEMS

        items, right = network.get_layer(ITEMS), tf.cast(batch["item"], tf.int32)
        vectors = tf.cast(network([batch["user"], batch["history"]], training=training), tf.float32)
        mine = items.vectors(right)
        logits, target = self._logits(items, vectors, right, training)
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=logits)
        size = tf.reduce_sum(vectors**2, axis=1) + tf.reduce_sum(mine**2, axis=1)
        top = tf.math.in_top_k(target, logits, min(10, int(logits.shape[1])))
        return {"loss": entropy + self.params.l2 * size, "top_10": tf.cast(top, tf.float32)}

    def _logits(self, items: Any, vectors: tf.Tensor, right: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores of shape ``(examples, candidates)``, and which of these is the right one."""
        import keras
        import tensorflow as tf

        every, drawn = int(items.bias.shape[0]), self.params.negatives
        if drawn is None or drawn >= every or not training:
            return tf.matmul(vectors, items.vectors(), transpose_b=True) + items.biases(), right
        others = keras.random.randint((drawn,), 0, every, seed=items.chance)
        first = tf.reduce_sum(vectors * items.vectors(right), axis=1) + items.biases(right)
        # Each one drawn stands for as many items as there are to one draw.
        scores = tf.matmul(vectors, items.vectors(others), transpose_b=True) + items.biases(others)
        scores += math.log((every - 1) / drawn)
        scores = tf.where(others[None, :] == right[:, None], -1e9, scores)
        return tf.concat([first[:, None], scores], axis=1), tf.zeros_like(right)

    def model(self, weights: Sequence[np.ndarray], features: pa.Table) -> RecommenderModel:
        return RecommenderModel(interactions(features), list(weights))

    def warm(self, start: Sequence[np.ndarray], features: pa.Table, champion: RecommenderModel) -> Sequence[np.ndarray]:
        known, theirs = interactions(features), champion.known
        names = list(self._layout(len(known.users), len(known.items)))
        if len(names) != len(champion.weights):
            raise BadInput("its architecture is another")
        named = dict(zip(names, champion.weights, strict=True))
        warmed = dict(zip(names, start, strict=True))
        for name in names:
            if name == "users":
                warmed[name] = by_name(warmed[name], known.users, named[name], theirs.users)
            elif name in ("items.embedding", "items.bias"):
                warmed[name] = by_name(warmed[name], known.items, named[name], theirs.items)
            elif warmed[name].shape != named[name].shape:
                raise BadInput("its layers have other sizes")
            else:
                warmed[name] = named[name]
        return [warmed[name] for name in names]

    def merge(self, models: Sequence[RecommenderModel], weights: Sequence[float]) -> RecommenderModel:
        return RecommenderModel(models[0].known, average([model.weights for model in models], weights))

    def labels(self, model: RecommenderModel) -> list[str]:
        """None: items are too many to be named with every prediction."""
        return []

    def predict(self, model: RecommenderModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> Recommended:
        """The best items of each row's user, as many as are asked for, or are measured."""
        known = model.known
        *_, order = self._built(model)
        places = _places(known.users)
        asked = [user or "" for user in columns["user"]]
        met = sorted({places[user] for user in asked if user in places})
        ranked = {user: told for begin in range(0, len(met), _BATCH) for user, told in self._rank(model, met, begin)}
        most = max(_FAR, self.params.top)
        share = known.popularity / max(len(known.users), 1)
        popular = {user: next_popular(order, self._gone(known, user), most) for user in met}
        anyone = next_popular(order, (), most)
        said = Recommended([], [], [], [], [])
        for user in asked:
            place = places.get(user)
            best, scores, first = (anyone, share[anyone].tolist(), anyone[0]) if place is None else ranked[place]
            said.items.append([known.items[item] for item in best])
            said.scores.append(scores)
            said.known.append(place is not None)
            said.popular.append([known.items[item] for item in (anyone if place is None else popular[place])])
            said.first.append(known.items[first])
        return said

    def facts(self, model: RecommenderModel) -> dict[str, int]:
        """Parameters, users, items and pairs."""
        known, size = model.known, sum(array.size for array in model.weights)
        return {"parameters": size, "users": len(known.users), "items": len(known.items), "pairs": len(known.seen)}

    def sheets(self, model: RecommenderModel) -> list[Sheet]:
        """What the baseline recommends, for the report."""
        known = model.known
        order = by_popularity(known.popularity)[:_TOLD]
        rows = [(known.items[p], float(n), n / len(known.users)) for p in order if (n := int(known.popularity[p]))]
        note = "What is recommended to a user whom training never saw, and to everybody by the baseline."
        return [Sheet("The most popular items", ("item", "users", "share"), rows, note)]

    def save(self, model: RecommenderModel, folder: Path) -> None:
        from tasks.models import _tensors

        known = model.known
        layout = self._layout(len(known.users), len(known.items))
        tensors = dict(zip(layout, model.weights, strict=True))
        tensors |= {"popularity": known.popularity, "starts": known.starts, "seen": known.seen}
        _tensors.write(folder, tensors, {"users": known.users, "items": known.items})

    def load(self, folder: Path) -> RecommenderModel:
        from tasks.models import _tensors

        tensors, lists = _tensors.read(folder, ("items", "users"))
        users, items = lists["users"], lists["items"]
        pairs = tensors["seen"].shape if "seen" in tensors else (0,)
        layout = {
            **self._layout(len(users), len(items)),
            "popularity": ("int64", (len(items),)),
            "starts": ("int64", (len(users) + 1,)),
            "seen": ("int32", pairs),
        }
        *weights, popularity, starts, seen = _tensors.checked(tensors, layout)
        if not _in_bounds(starts, seen, len(items)):
            raise Corrupt(f"{_tensors.TENSORS}: starts and seen name items that are not there")
        return RecommenderModel(Interactions(users, items, popularity, starts, seen), weights)

    @property
    def _two(self) -> bool:
        return self.params.architecture == "two_tower"

    @property
    def _most(self) -> int:
        return self.params.max_history if self._two else 1

    def _history(self, known: Interactions, user: int, item: int | None) -> list[int]:
        """Places plus 1 of what the user's tower reads: never the item that it is to tell."""
        if not self._two:
            return []
        return [place + 1 for place in known.of(user).tolist() if place != item][-self._most :]

    def _gone(self, known: Interactions, user: int) -> Any:
        return () if self.params.repeat else known.of(user)

    def _rank(self, model: RecommenderModel, users: list[int], begin: int) -> Iterator[tuple[int, Any]]:
        """For some users their best items, the scores, and the best of all."""
        import numpy as np

        network, vectors, biases, _ = self._built(model)
        some, most = users[begin : begin + _BATCH], max(_FAR, self.params.top)
        history = padded([self._history(model.known, user, None) for user in some], self._most, np.int32)
        scores = np.asarray(network([np.asarray(some, np.int32), history], training=False), np.float32) @ vectors.T
        scores = scores + biases
        for user, row in zip(some, scores, strict=True):
            first = int(row.argmax())
            gone = np.asarray(self._gone(model.known, user), np.int64)
            row[gone] = -np.inf
            count = min(most, len(row) - len(gone))
            best = np.argpartition(-row, max(count - 1, 0))[:count]
            best = best[np.lexsort((best, -row[best]))]
            yield user, (best.tolist(), row[best].astype(float).tolist(), first)

    def _built(self, model: RecommenderModel) -> list[Any]:
        import numpy as np

        from tasks.models._towers import ITEMS

        if not model.built:
            network = self._network(len(model.known.users), len(model.known.items))
            network.set_weights(model.weights)
            held = network.get_layer(ITEMS)
            arrays = [np.asarray(each, np.float32) for each in (held.vectors(), held.biases())]
            model.built.extend([network, *arrays, by_popularity(model.known.popularity)])
        return model.built

    def _network(self, users: int, items: int) -> keras.Model:
        from tasks.models._towers import towers

        p = self.params
        units = p.units if self._two else None
        return towers(
            users, items, dimension=p.dimension, units=units, most=self._most, dropout=p.dropout, seed=self._seed
        )

    def _layout(self, users: int, items: int) -> Layout:
        """What a model's file holds: the weights in the network's order."""
        wide, units = self.params.dimension, self.params.units
        shapes: dict[str, tuple[int, ...]]
        if not self._two:
            shapes = {"users": (users, wide), "items.embedding": (items, wide), "items.bias": (items,)}
        else:
            shapes = {
                "users": (users, wide),
                "items.embedding": (items, wide),
                "items.inner": (wide, units),
                "items.inner_bias": (units,),
                "items.outer": (units, wide),
                "items.bias": (items,),
                "user.inner": (2 * wide, units),
                "user.inner_bias": (units,),
                "user.outer": (units, wide),
            }
        return {name: ("float32", shape) for name, shape in shapes.items()}


def _places(names: Sequence[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _in_bounds(starts: np.ndarray, seen: np.ndarray, items: int) -> bool:
    import numpy as np

    rising = starts[0] == 0 and starts[-1] == len(seen) and bool((np.diff(starts) >= 0).all())
    return bool(rising and (not len(seen) or (seen.min() >= 0 and seen.max() < items)))
