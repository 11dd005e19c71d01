"""How a training is spread, from the YAML: what a recipe can do, what it cannot, and who of a gang does what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tasks.config import Corpus
from tasks.config.resources import Resources
from tasks.training.parameter_server.roles import Roles

FOREST, NETWORK = {"tfidf_forest": {"trees": 2}}, {"text_encoder": {"epochs": 1}}


@pytest.mark.parametrize(
    ("train", "resources", "says"),
    [
        (
            {"recipe": FOREST, "strategy": "mirrored"},
            {},
            "tfidf_forest is sharded, it can be trained by",
        ),
        ({"recipe": FOREST, "strategy": "parameter_server"}, {}, "it can be trained by sharded or single"),
        (
            {"recipe": NETWORK, "strategy": "sharded"},
            {},
            "text_encoder is mirrored, it can be trained by mirrored or parameter_server or single",
        ),
        ({"recipe": {"language_model": {}}, "strategy": "parameter_server"}, {}, "carries a state from step to step"),
        ({"recipe": FOREST, "strategy": "single", "shards": 3}, {}, "one process fits all rows, and shards is 3"),
        ({"recipe": NETWORK, "strategy": "single"}, {"workers": 2}, "resources.workers is 2: leave it out"),
        (
            {"recipe": {"text_encoder": {"precision": "mixed_float16"}}, "strategy": "parameter_server"},
            {},
            "mixed_float16 scales the loss",
        ),
        ({"recipe": NETWORK, "strategy": "gossip"}, {}, "'mirrored', 'parameter_server', 'sharded' or 'single'"),
    ],
)
def test_what_cannot_be_says_what_can(
    make_corpus: Callable[..., Corpus], train: dict[str, Any], resources: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        make_corpus(train=train, resources=resources)


def test_single_is_one_process(make_corpus: Callable[..., Corpus]) -> None:
    forest = make_corpus(train={"recipe": FOREST, "strategy": "single"})
    assert forest.train.shards == 1
    network = make_corpus(train={"recipe": NETWORK, "strategy": "single", "shards": 4})
    assert (network.train.shards, network.resources.workers, network.gang) == (4, 1, 1)


def test_a_strategy_that_is_not_given_changes_no_training(make_corpus: Callable[..., Corpus]) -> None:
    given, named = (
        make_corpus(train={"recipe": NETWORK}),
        make_corpus(train={"recipe": NETWORK, "strategy": "mirrored"}),
    )
    assert "strategy" not in given.train.model_dump(mode="json")
    assert given.train.digest() != named.train.digest()
    assert given.gang == named.gang == 2


def test_a_gang_with_servers_has_a_chief_servers_and_workers(make_corpus: Callable[..., Corpus]) -> None:
    resources = {"workers": 3, "parameter_servers": 2}
    corpus = make_corpus(train={"recipe": NETWORK, "strategy": "parameter_server"}, resources=resources)
    roles = Roles.of(Resources.model_validate(resources))
    assert corpus.gang == roles.size == 6
    assert [roles.role(member) for member in range(6)] == [
        ("chief", 0),
        ("ps", 0),
        ("ps", 1),
        ("worker", 0),
        ("worker", 1),
        ("worker", 2),
    ]
    assert [roles.replaceable(member) for member in range(6)] == [False] * 3 + [True] * 3
    assert roles.cluster(list("abcdef")) == {"chief": ["a"], "ps": ["b", "c"], "worker": ["d", "e", "f"]}
