"""Whose credentials a task of a federated corpus is given, and sites that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plugins.sites import SiteAccess, known
from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.errors import BadInput
from tasks.federation.site import local_corpus
from tasks.step import Context
from tasks.training import Training

NETWORK = {"text_encoder": {"epochs": 1}}
BERLIN = {"name": "berlin", "store": "s3://berlin", "credentials": "BERLIN"}
PARIS = {"name": "paris", "store": "s3://paris", "credentials": "PARIS"}
ACCESS = [
    SiteAccess("berlin", "BERLIN", ("BERLIN_AWS_ACCESS_KEY_ID", "BERLIN_AWS_SECRET_ACCESS_KEY")),
    SiteAccess("paris", "PARIS", ("PARIS_AWS_ACCESS_KEY_ID", "PARIS_AWS_SECRET_ACCESS_KEY"), "paris_s3"),
]
CENTRE = {"PATH": "/bin", "AWS_ACCESS_KEY_ID": "c"}
ENVIRONMENT = {**CENTRE, "BERLIN_AWS_ACCESS_KEY_ID": "b", "PARIS_AWS_ACCESS_KEY_ID": "p"}


def test_a_task_knows_its_own_sites_variables_and_no_others() -> None:
    assert known(ENVIRONMENT, ACCESS, None) == CENTRE
    assert known(ENVIRONMENT, ACCESS, 0) == {**CENTRE, "BERLIN_AWS_ACCESS_KEY_ID": "b"}
    assert known(ENVIRONMENT, (), None) == ENVIRONMENT


def test_a_connection_fills_a_sites_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_PARIS_S3",
        '{"conn_type": "aws", "login": "key", "password": "hidden", "extra": {"endpoint_url": "http://paris:9000"}}',
    )
    given = known(ENVIRONMENT, ACCESS, 1)
    assert given["PARIS_AWS_ACCESS_KEY_ID"] == "key"
    assert given["PARIS_AWS_SECRET_ACCESS_KEY"] == "hidden"
    assert given["PARIS_AWS_ENDPOINT_URL"] == "http://paris:9000"
    assert "BERLIN_AWS_ACCESS_KEY_ID" not in given
    monkeypatch.setenv("AIRFLOW_CONN_PARIS_S3", '{"conn_type": "aws", "login": "key"}')
    with pytest.raises(BadInput, match=r"'paris_s3' has no extra.endpoint_url and no password"):
        known(ENVIRONMENT, ACCESS, 1)


def test_a_round_trains_the_same_network_for_its_local_epochs_by_draws_of_its_own(
    make_corpus: Callable[..., Corpus], make_context: Callable[..., Context], make_snapshot: Callable[..., Manifest]
) -> None:
    recipe = {"text_encoder": {"epochs": 9, "filters": 7}}
    corpus = make_corpus(train={"recipe": recipe, "seed": 40, "federated": {"sites": [BERLIN, PARIS]}})
    training = Training.of(corpus, make_snapshot(make_context(corpus)))
    first, third = (local_corpus(training, 2, number).train for number in (0, 2))
    assert (first.seed, third.seed) == (40, 42)
    for train in (first, third):
        assert train.recipe.params.model_dump() == {**corpus.train.recipe.params.model_dump(), "epochs": 2}
        assert train.federated is None


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ({"sites": [BERLIN]}, "at least 2"),
        ({"sites": [BERLIN, BERLIN]}, "name 'berlin' is given twice"),
        ({"sites": [BERLIN, {**PARIS, "store": "s3://berlin"}]}, "store 's3://berlin' is given twice"),
        ({"sites": [BERLIN, {**PARIS, "credentials": "BERLIN"}]}, "credentials 'BERLIN' is given twice"),
        ({"sites": [BERLIN, {"name": "paris", "store": "s3://paris"}]}, "site paris: an s3 store needs credentials"),
        ({"sites": [BERLIN, {**PARIS, "credentials": "not-a-name"}]}, "should match pattern"),
    ],
)
def test_sites_that_cannot_be_kept_apart_are_refused(
    make_corpus: Callable[..., Corpus], train: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        make_corpus(train={"recipe": NETWORK, "federated": train})


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"train": {"recipe": "tfidf_forest"}}, "tfidf_forest is sharded, it has no weights to average"),
        ({"train": {"recipe": {"text_encoder": {"average": 2}}}}, "leave average out"),
        ({"train": {"recipe": NETWORK, "strategy": "parameter_server"}}, "leave strategy 'parameter_server' out"),
        (
            {"train": {"recipe": NETWORK}, "runtime": "kubernetes", "kubernetes": {"image": "nightshift:1"}},
            "pods of a corpus share their secrets",
        ),
    ],
)
def test_what_cannot_be_federated_says_why(
    make_corpus: Callable[..., Corpus], sections: dict[str, Any], says: str
) -> None:
    train = {**sections["train"], "federated": {"sites": [BERLIN, PARIS]}}
    with pytest.raises(ValueError, match=says):
        make_corpus(**{**sections, "train": train})
