"""What several files of unit tests set up alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.step import Context
from tasks.store.local import LocalStore
from tests.shelf import NEAR, Shelf


@pytest.fixture
def make_shelf(
    tmp_path_factory: pytest.TempPathFactory, make_corpus: Callable[..., Corpus], make_context: Callable[..., Context]
) -> Callable[..., Shelf]:
    def build(store: type[LocalStore] = LocalStore) -> Shelf:
        folder = tmp_path_factory.mktemp("near")
        corpus = make_corpus(train={"recipe": "tfidf_forest", "near": NEAR.model_dump()})
        context = make_context(corpus=corpus, store=store(f"file://{folder}/store"))
        assert isinstance(context.catalog, Catalog)
        return Shelf(context, folder)

    return build
