"""What a crawl brings, night after night, from a real site."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from warcio.archiveiterator import ArchiveIterator

from tasks.catalog import Catalog
from tasks.sources.web import spider
from tasks.sources.web.run import SeedsFailed
from tasks.store import Store
from tests.sites.hostile import redirect, status
from tests.sites.nights import captures, contents, validators
from tests.sites.site import LAST_MODIFIED, Site

pytestmark = pytest.mark.integration

DAY1, DAY2, DAY3 = "2026-11-20", "2026-11-21", "2026-11-22"


# --- what it brings ---------------------------------------------------------------------------------


def test_every_linked_page_is_recorded_once(site: Site, night: Any, local_store: Store, tmp_path: Path) -> None:
    site.tree(40)
    manifest = night(DAY1)
    expected = {path.lstrip("/"): content.body for path, content in site.pages.items()}
    found = {page.url.split("/", 3)[3]: page.payload for page in captures(local_store, manifest, tmp_path)}
    assert found == expected
    assert manifest.counts["documents"] == manifest.counts["visited"] == len(expected)
    assert set(site.fetched().values()) == {1}


def test_the_files_are_standard_warc(site: Site, night: Any, local_store: Store, tmp_path: Path) -> None:
    site.tree(5)
    night(DAY1)
    site.page("/p/3", "changed")
    site.pages["/p/4"].etag = site.pages["/p/4"].modified = None  # a 200 with the payload of the day before
    manifest = night(DAY2)
    (entry,) = manifest.of_role("warc")
    local = Catalog(local_store).fetch(entry, tmp_path / "x.warc.gz")
    with local.open("rb") as stream:
        seen = {}
        for record in ArchiveIterator(stream, check_digests="raise"):
            record.content_stream().read()
            profile = (record.rec_headers.get_header("WARC-Profile") or "").rsplit("/", 1)[-1]
            path = (record.rec_headers.get_header("WARC-Target-URI") or "").removeprefix(site.url)
            seen[path] = (record.rec_type, profile, record.rec_headers.get_header("WARC-IP-Address"))
            if record.rec_type == "revisit":
                assert record.rec_headers.get_header("WARC-Refers-To-Date")
                assert record.rec_headers.get_header("WARC-Refers-To-Target-URI") == site.url + path
    assert seen == {
        "": ("warcinfo", "", None),
        "/": ("revisit", "server-not-modified", "127.0.0.1"),
        "/p/0": ("revisit", "server-not-modified", "127.0.0.1"),
        "/p/1": ("revisit", "server-not-modified", "127.0.0.1"),
        "/p/2": ("revisit", "server-not-modified", "127.0.0.1"),
        "/p/3": ("response", "", "127.0.0.1"),
        "/p/4": ("revisit", "identical-payload-digest", "127.0.0.1"),
    }


def test_sitemaps_lead_to_pages_that_nothing_links_to(site: Site, night: Any) -> None:
    loc = "<url><loc>{}{}</loc></url>"
    site.page("/a", "a")
    site.page("/b", "b")
    site.page(
        "/index.xml", f"<sitemapindex><sitemap><loc>{site.url}/map.xml.gz</loc></sitemap></sitemapindex>", "text/xml"
    )
    urlset = "<urlset>" + loc.format(site.url, "/a") + loc.format("http://elsewhere.invalid", "/") + "</urlset>"
    site.page("/map.xml.gz", gzip.compress(urlset.encode()), "application/gzip")
    site.page("/list.txt", f"{site.url}/b\n", "text/plain")
    manifest = night(DAY1, seeds=[], sitemaps=[f"{site.url}/index.xml", f"{site.url}/list.txt"])
    assert manifest.counts["documents"] == 2
    assert set(site.fetched()) == {"/index.xml", "/map.xml.gz", "/list.txt", "/a", "/b"}


def test_scope_depth_and_robots_are_obeyed(site: Site, night: Any) -> None:
    site.page("/robots.txt", "User-agent: *\nDisallow: /private\n", "text/plain")
    site.page(
        "/", "".join(f'<a href="{u}">x</a>' for u in ("/a", "/private/x", "/skip/y", "http://elsewhere.invalid/"))
    )
    site.page("/a", "<a href=/b>x</a>")
    site.page("/b", "<a href=/c>too deep</a>")
    site.page("/c", "c")
    manifest = night(DAY1, deny=["/skip/"], depth=2)
    assert set(site.fetched()) == {"/", "/a", "/b"}
    assert manifest.counts["skipped"] == {"robots": 1}


def test_robots_txt_that_the_server_cannot_give_forbids_everything(site: Site, night: Any) -> None:
    site.tree(3)
    site.behave("/robots.txt", status(503))
    with pytest.raises(SeedsFailed, match="robots_unreachable"):
        night(DAY1)
    assert not site.fetched()


@pytest.mark.parametrize("throttle", [None, {"start": "0s"}])
def test_a_crawl_delay_is_kept(site: Site, night: Any, throttle: Any) -> None:
    site.tree(4)
    site.page("/robots.txt", "User-agent: *\nCrawl-delay: 0.4\n", "text/plain")
    started = time.monotonic()
    night(DAY1, throttle=throttle)
    assert time.monotonic() - started > 4 * 0.4 * 0.5  # Scrapy varies a delay by half


def test_a_night_of_304s_speeds_up(site: Site, night: Any) -> None:
    site.tree(12)
    night(DAY1)
    started = time.monotonic()
    assert night(DAY2, throttle={"start": "2s"}).counts["unchanged"] == 13
    assert time.monotonic() - started < 13 * 2 * 0.5


def test_redirects_are_followed_hop_by_hop(site: Site, night: Any, local_store: Store, tmp_path: Path) -> None:
    site.behave("/", redirect("/one", 301))
    site.behave("/one", redirect("/two", 307))
    site.page("/two", "here")
    manifest = night(DAY1)
    assert set(contents(local_store, manifest, tmp_path)) == {"two"}
    assert manifest.counts["redirects"] == 2


# --- the night after --------------------------------------------------------------------------------


def test_an_unchanged_site_costs_one_304_a_page(site: Site, night: Any) -> None:
    site.tree(30)
    first = night(DAY1)
    site.hits.clear()
    second = night(DAY2)
    assert site.fetched(status=304) == site.fetched() == dict.fromkeys(site.pages, 1)
    assert second.counts["unchanged"] == first.counts["documents"] == 31
    assert second.counts["documents"] == second.counts["bytes"] == 0


def test_new_changed_and_gone_pages_are_seen_below_unchanged_parents(
    site: Site, night: Any, local_store: Store, tmp_path: Path
) -> None:
    site.tree(30)
    night(DAY1)
    site.page("/p/20", '<a href="/new">new</a>')  # its parent answers 304 and is not read again
    site.page("/new", "new")
    del site.pages["/p/29"]
    second = night(DAY2)
    found = {path: value.split()[0] for path, value in contents(local_store, second, tmp_path).items()}
    assert {path: kind for path, kind in found.items() if kind != "unchanged"} == {
        "p/20": "page",
        "new": "page",
        "p/29": "gone",
    }
    assert (second.counts["documents"], second.counts["gone"], second.counts["unchanged"]) == (2, 1, 29)
    state = validators(local_store, second, tmp_path)
    assert state["p/29"]["digest"] is None and state["p/29"]["seen"] == DAY2
    assert state["p/5"]["modified"] == LAST_MODIFIED and state["p/5"]["captured"].startswith("2026-")


def test_a_page_is_gone_once_and_new_when_it_comes_back(site: Site, night: Any) -> None:
    site.tree(5)
    night(DAY1)
    content = site.pages.pop("/p/3")
    assert night(DAY2).counts["gone"] == 1
    third = night(DAY3)
    assert (third.counts["gone"], third.counts["skipped"]) == (0, {"http_404": 1})
    site.pages["/p/3"] = content
    assert night("2026-11-23").counts["documents"] == 1


def test_an_error_leaves_what_was_known_of_a_page(site: Site, night: Any) -> None:
    site.tree(5)
    night(DAY1)
    site.behave("/p/3", status(500))
    second = night(DAY2)
    assert (second.counts["errors"], second.details["errors"]) == (1, {"http_500": 1})
    del site.behaviours["/p/3"]
    assert night(DAY3).counts["unchanged"] == 6


def test_other_links_count_so_every_page_is_read_again(site: Site, night: Any) -> None:
    site.page("/", "<a href=/in>x</a><a href=/out>x</a>")
    site.page("/in", "in")
    site.page("/out", "out")
    assert night(DAY1, deny=["/out"]).counts["documents"] == 2
    second = night(DAY2)
    assert (second.counts["documents"], second.counts["unchanged"]) == (1, 2)


def test_known_pages_that_are_no_longer_wanted_are_not_visited(site: Site, night: Any) -> None:
    site.page("/", "<a href=/in>x</a><a href=/out>x</a>")
    site.page("/in", "in")
    site.page("/out", "out")
    assert night(DAY1).counts["visited"] == 3
    site.hits.clear()
    night(DAY2, deny=["/out"])
    assert set(site.fetched()) == {"/", "/in"}


def test_a_damaged_state_of_the_site_is_not_built_upon(site: Site, night: Any, local_store: Store) -> None:
    site.tree(5)
    night(DAY1)
    (entry,) = night(DAY2).of_role("validators")
    local_store.write(entry.key, b"spoilt")
    third = night(DAY3)
    assert third.details["base"]["folder"] == f"raw/docs/{DAY1}"
    assert third.counts["unchanged"] == 6


def test_a_quarantined_partition_is_not_built_upon(site: Site, night: Any, local_store: Store) -> None:
    site.tree(5)
    night(DAY1)
    site.page("/p/3", "changed")
    second = night(DAY2)
    Catalog(local_store).quarantine.put(second, stage="raw", failures=["bad"], at="now")
    third = night(DAY3)
    assert third.details["base"]["folder"] == f"raw/docs/{DAY1}"
    assert third.counts["documents"] == 1


# --- budgets ----------------------------------------------------------------------------------------


def test_a_page_budget_goes_on_where_the_night_before_ended(site: Site, night: Any) -> None:
    site.tree(30)
    first = night(DAY1, budget={"pages": 12})
    assert (first.counts["visited"], first.details["stopped"]) == (12, "pages")
    reached = set(site.fetched())
    site.hits.clear()
    night(DAY2, budget={"pages": 12})
    assert len(site.fetched()) == 12
    assert set(site.fetched()) & reached == {"/"}  # the seed, and else what was never seen


def test_byte_and_time_budgets_end_the_night_in_order(site: Site, night: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.tree(60, words=2000)
    by_bytes = night(DAY1, budget={"bytes": "100KB"}, concurrency=2)
    assert by_bytes.details["stopped"] == "bytes"
    assert 100_000 <= by_bytes.counts["bytes"] < 200_000
    site.hits.clear()
    # The time is up with the fifth hit, however fast this machine is now.
    clock = SimpleNamespace(monotonic=lambda: 0.0 if len(site.hits) < 5 else 1000.0)
    monkeypatch.setattr(spider, "time", clock)
    by_time = night(DAY1, force=True, budget={"time": "500s"}, concurrency_per_domain=1)
    assert by_time.details["stopped"] == "time"
    assert 1 < by_time.counts["visited"] < 10


# --- once, and again --------------------------------------------------------------------------------


def test_a_committed_night_is_final_unless_forced_or_damaged(site: Site, night: Any, local_store: Store) -> None:
    site.tree(5)
    first = night(DAY1)
    site.hits.clear()
    site.page("/p/1", "changed")
    assert night(DAY1, depth=3) == first and not site.hits
    assert not list(local_store.list(f"raw/docs/{DAY1}/journal/"))
    assert night(DAY1, force=True).digest() != first.digest()
    local_store.delete(night(DAY1).of_role("warc")[0].key)
    site.hits.clear()
    night(DAY1)
    assert site.hits
