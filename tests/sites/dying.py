"""A crawl whose process is gone at a chosen change of the store."""

from __future__ import annotations

import multiprocessing
import os
from datetime import date
from typing import Any

import structlog

from tasks.catalog import Catalog
from tasks.config import Corpus
from tasks.crawl import crawl
from tasks.step import Context
from tasks.store import Store, open_store

DEAD = 137


class _Dying:
    """A store that ends the process at its ``n``-th change, before the change or right after it."""

    def __init__(self, store: Store, n: int, *, after: bool) -> None:
        self._store = store
        self._left = n
        self._after = after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name not in ("write", "upload", "delete"):
            return method

        def change(*args: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                os._exit(DEAD)
            done = method(*args)
            if self._left == 0:
                os._exit(DEAD)
            return done

        return change


def _work(corpus: dict[str, Any], store_url: str, env: dict[str, str], day: str, n: int, after: bool) -> None:
    store: Any = _Dying(open_store(store_url, env), n, after=after)
    context = Context(Corpus.model_validate(corpus), store, Catalog(store), structlog.get_logger(), env)
    crawl(context, day, today=date.fromisoformat(day))


def dies(
    corpus: dict[str, Any], store_url: str, day: str, n: int, *, after: bool, env: dict[str, str] | None = None
) -> bool:
    """Crawl in a process that dies at the ``n``-th change; False if the crawl made fewer, and ended well."""
    # Forked off a server without threads that has imported everything: a death costs milliseconds.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.sites.dying", "tasks.sources.web.run"])
    process = context.Process(target=_work, args=(corpus, store_url, env or {}, day, n, after))
    process.start()
    process.join(60)
    assert process.exitcode in (0, DEAD), f"the crawl ended with {process.exitcode}"
    return process.exitcode == DEAD
