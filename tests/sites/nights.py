"""Nights of crawling a test site, and what they left on the store."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.catalog import Catalog, Manifest
from tasks.sources.warc import Page, pages
from tasks.store import Store
from tests.sites.site import Handler, Site


def source(site: Site, **params: Any) -> dict[str, Any]:
    """A crawl of the site, at full speed."""
    defaults = {
        "seeds": [f"{site.url}/"],
        "networks": ["127.0.0.0/8"],
        "throttle": None,
        "concurrency_per_domain": 8,
        "retries": 0,
    }
    return {"live": {"crawl": {**defaults, **params}}}


def captures(store: Store, manifest: Manifest, tmp_path: Path) -> list[Page]:
    """Every page of a partition's WARC files."""
    found = []
    for entry in manifest.of_role("warc"):
        local = tmp_path / "read.warc.gz"
        Catalog(store).fetch(entry, local)
        found += list(pages(local))
    return found


def contents(store: Store, manifest: Manifest, tmp_path: Path) -> dict[str, str]:
    """Path to payload digest, of everything that was captured; each URL must be there once."""
    found = captures(store, manifest, tmp_path)
    assert len({page.url for page in found}) == len(found)
    return {page.url.split("/", 3)[3]: f"{page.kind} {hashlib.sha256(page.payload).hexdigest()}" for page in found}


def validators(store: Store, manifest: Manifest, tmp_path: Path) -> dict[str, dict[str, Any]]:
    (entry,) = manifest.of_role("validators")
    local = Catalog(store).fetch(entry, tmp_path / "validators.parquet")
    return {row["url"].split("/", 3)[3]: row for row in pq.read_table(local).to_pylist()}


def slow(site: Site, seconds: float) -> None:
    """Let every page take a moment, so that a kill falls into the crawl."""
    for path, content in list(site.pages.items()):

        def answer(handler: Handler, body: bytes = content.body) -> None:
            site.closing.wait(seconds)
            handler.answer(200, body, {"Content-Type": "text/html"})

        site.behave(path, answer)
