"""Rounds of federated averaging by the training's own network and the recipe's own merge: what sites learn together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.metrics import f1_score

from tasks.models.text_encoder import TextEncoder, TextEncoderParams
from tests.unit.test_evaluate_merge import rows

ROUNDS = 18
ROWS = {"berlin": rows(90, "aaaab", seed=5), "paris": rows(45, "bcccc", seed=6)}
"""Two sites that share one label of three."""
PARAMS: dict[str, Any] = {
    **{"batch_size": 8, "learning_rate": 2.0, "optimizer": "sgd", "clip_norm": 1.0, "schedule": "constant"},
    **{"dimension": 8, "filters": 8, "dropout": 0, "max_tokens": 16, "max_terms": 16, "buckets": 16},
}
"""Of plain gradient descent there is no state that a site's process could lose, or this test's network keep."""
Weights = list[np.ndarray]


class Learner:
    """The centre's features, and one network that trains from given weights on given rows."""

    def __init__(self) -> None:
        import tensorflow as tf

        from tasks.training.mirrored.network import Network

        self.recipe = TextEncoder(TextEncoderParams(**PARAMS), 0)
        seen = _table(rows(40))
        self.features = self.recipe.combine([self.recipe.count(iter([seen]))], seen.num_rows)
        self.network = Network(tf.distribute.OneDeviceStrategy("/cpu:0"), self.recipe, self.features, 0)
        self.judged = rows(60, seed=1)

    def fit(self, weights: Weights, given: Sequence[Mapping[str, Any]], epochs: int, seed: int) -> Weights:
        """What a site's process does in a round."""
        from tasks.training.mirrored.feed import Batch, Share
        from tasks.training.mirrored.order import Order, share
        from tasks.training.mirrored.schedule import learning_rate

        columns: dict[str, list[Any]] = {}
        for batch in self.recipe.encode(iter([_table(given)]), self.features):
            for name, values in batch.items():
                columns.setdefault(name, []).extend(values)
        params = self.recipe.params
        order = Order(seed, [len(given)], params.batch_size)
        self.network.begin(weights)
        for step in range(steps := epochs * order.steps):
            numbers = order.batch(step)
            mine, real = share(numbers, 0, 1, params.batch_size)
            taken = {name: [values[i] for i in mine] for name, values in columns.items()}
            cut = Batch(step, len(numbers), [Share(self.recipe.inputs(taken), real, real)])
            self.network.step(cut, stop=False, waited=0, rate=learning_rate(params, step, steps), scale=1)
        return self.network.weights()

    def macro_f1(self, weights: Weights) -> float:
        model = self.recipe.model(weights, self.features)
        chances = self.recipe.predict(model, [row["text"] for row in self.judged])
        said = np.array(self.recipe.labels(model))[chances.argmax(axis=1)]
        return float(f1_score([row["label"] for row in self.judged], said, average="macro"))


def _table(given: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.table({name: [row[name] for row in given] for name in ("text", "label")})


def test_sites_that_share_one_label_of_three_learn_all_of_them_together() -> None:
    learner = Learner()
    drawn = learner.network.weights()
    counts = [len(given) for given in ROWS.values()]
    weights = drawn
    for number in range(ROUNDS):
        sent = [learner.fit(weights, given, 1, seed=number) for given in ROWS.values()]
        models = [learner.recipe.model(each, learner.features) for each in sent]
        weights = learner.recipe.merge(models, [n / sum(counts) for n in counts]).weights
    together = learner.macro_f1(weights)
    assert together > 0.85
    # As good, to 0.1, as if all rows had been in one place for as many epochs.
    everything = [row for given in ROWS.values() for row in given]
    assert together > learner.macro_f1(learner.fit(drawn, everything, ROUNDS, seed=0)) - 0.1
    # A site alone does not learn the label that it never saw.
    for given in ROWS.values():
        assert learner.macro_f1(learner.fit(drawn, given, ROUNDS, seed=0)) < 0.7
