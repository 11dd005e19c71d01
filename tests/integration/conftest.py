"""What tests share: a site and a night of crawling it, and the process that starts a training's children."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog import Manifest
from tasks.config import Corpus
from tasks.crawl import crawl, folder_of
from tasks.step import Context
from tests.mirrored.case import Build, build_case
from tests.mirrored.nursery import Nursery, nursery
from tests.sites.nights import source
from tests.sites.site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


@pytest.fixture
def night(
    site: Site, make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]
) -> Callable[..., Manifest]:
    """``night(day, **params)`` crawls the site on that day and returns the committed manifest."""

    def run(day: str, *, force: bool = False, **params: Any) -> Manifest:
        context = make_context(make_corpus(source=source(site, **params)))
        crawl(context, day, today=date.fromisoformat(day), force=force)
        manifest = context.catalog.current(folder_of("docs", day))
        assert manifest is not None
        return manifest

    return run


@pytest.fixture(scope="module")
def workers() -> Iterator[Nursery]:
    with nursery() as running:
        yield running


@pytest.fixture
def build(
    tmp_path: Path,
    make_context: Callable[..., Context],
    make_corpus: Callable[..., Corpus],
    make_snapshot: Callable[..., Manifest],
    workers: Nursery,
) -> Callable[..., Build]:
    """``build(rows)``: makes trainings of such rows (``tests.mirrored.case``); real processes train them."""
    return partial(build_case, tmp_path, make_context, make_corpus, make_snapshot, workers)
