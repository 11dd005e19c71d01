"""What a crawl refuses: hostile pages, forbidden addresses."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tasks.config import Corpus
from tasks.crawl import crawl
from tasks.errors import NightshiftError
from tasks.sources.web import links as spelling
from tasks.sources.web.run import SeedsFailed
from tasks.step import Context
from tasks.store import Store
from tests.sites.hostile import HOSTILE, infest, redirect, status
from tests.sites.nights import source
from tests.sites.site import Handler, Site

pytestmark = pytest.mark.integration

DAY1, DAY2, DAY3 = "2026-11-20", "2026-11-21", "2026-11-22"


# --- hostile pages ----------------------------------------------------------------------------------


def test_hostile_pages_are_skipped_counted_and_never_fatal(site: Site, night: Any) -> None:
    site.tree(10)
    infest(site)
    site.page("/", site.pages["/"].body + b'<a href="/hostile">x</a>')
    manifest = night(DAY1, timeout="2s", page_bytes="1MB", concurrency_per_domain=32, concurrency=32)
    counted = {**manifest.counts["skipped"], **manifest.details["errors"]}
    expected: dict[str, int] = {"content_type": 1}
    for _, reason in HOSTILE.values():
        expected[reason] = expected.get(reason, 0) + 1
    # 1.6 MB of tags are more than this limit, and the links of a page that is not kept do not count.
    expected["oversize"] += 1
    assert counted == expected
    assert manifest.counts["documents"] == 12


def test_a_hundred_thousand_unclosed_links_take_no_time(site: Site, night: Any) -> None:
    infest(site, at="/")
    site.page("/", "<a href=/nested>x</a>")
    started = time.monotonic()
    assert night(DAY1).counts["documents"] == 2
    assert time.monotonic() - started < 120


def test_a_failure_that_passes_is_tried_again(site: Site, night: Any) -> None:
    site.tree(3)

    def flaky(handler: Handler) -> None:
        if site.fetched()["/p/1"] < 2:
            handler.answer(503, b"")
        else:
            handler.answer(200, b"up again", {"Content-Type": "text/html"})

    site.behave("/p/1", flaky)
    manifest = night(DAY1, retries=2)
    assert manifest.counts["errors"] == 0
    assert site.fetched()["/p/1"] == 3


def test_all_seeds_down_is_a_retryable_error_that_names_them(site: Site, night: Any, local_store: Store) -> None:
    site.tree(30)
    night(DAY1)
    site.hits.clear()
    site.behave("/", status(500))
    with pytest.raises(SeedsFailed, match=r"http://127.0.0.1:\d+/ \(http_500\)") as caught:
        night(DAY2)
    assert caught.value.exit_code == 1
    assert set(site.fetched()) == {"/"}  # the pages known from before are not all tried
    del site.behaviours["/"]
    assert night(DAY2).counts["unchanged"] == 31  # nothing of the failed attempt is left


# --- addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "[::ffff:127.0.0.1]"]
)
def test_no_spelling_of_loopback_is_fetched_unless_allowed(site: Site, night: Any, host: str) -> None:
    site.tree(3)
    with pytest.raises(NightshiftError, match=r"blocked_address|bad_url"):
        night(DAY1, networks=[], seeds=[f"http://{host}:{site.port}/"])
    assert not site.hits


def test_a_redirect_to_a_forbidden_address_is_not_followed(site: Site, night: Any) -> None:
    with Site() as inner:  # listens on 127.0.0.1 too: allowed is 127.0.0.1 alone, not its neighbours
        inner.page("/secret", "secret")
        site.page("/", "<a href=/to>x</a>")
        for n, host in enumerate(("127.0.0.2", "localhost", "0x7f.0.0.2", "[::1]", "10.0.0.1", "169.254.169.254")):
            site.behave(f"/to{n}", redirect(f"http://{host}:{inner.port}/secret"))
        site.page("/", "".join(f"<a href=/to{n}>x</a>" for n in range(6)))
        hosts = ["127.0.0.1", "127.0.0.2", "0x7f.0.0.2", "::1", "10.0.0.1", "169.254.169.254"]
        manifest = night(DAY1, networks=["127.0.0.1/32"], domains=hosts)
        assert not inner.hits
    assert manifest.counts["skipped"]["blocked_address"] + manifest.counts["skipped"].get("bad_url", 0) == 5
    assert manifest.counts["skipped"]["redirect_outside"] == 1


def test_a_proxy_of_the_environment_is_not_used(site: Site, night: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.tree(3)
    with Site() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert night(DAY1).counts["documents"] == 4
        assert not proxy.hits


def test_a_certificate_that_does_not_verify_is_refused(
    tmp_path: Path, make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]
) -> None:
    pem = tmp_path / "site.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -keyout {0} -out {0}.crt"
    subprocess.run(command.format(pem).split(), check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + Path(f"{pem}.crt").read_bytes())
    with Site(certificate=pem) as site:
        site.tree(3)
        with pytest.raises(SeedsFailed, match="tls"):
            crawl(make_context(make_corpus(source=source(site))), DAY1, today=date.fromisoformat(DAY1))
        context = make_context(make_corpus(source=source(site, verify_tls=False)))
        assert crawl(context, DAY1, today=date.fromisoformat(DAY1)).counts["documents"] == 4


def test_a_url_that_no_request_can_be_made_of_ends_its_visit_and_not_the_night(
    site: Site, night: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Spelled as it stands: what a crawl's checks have let through once, whatever it was.
    lax = re.compile(r"https?://[a-z0-9.]+(?::\d+)?/[a-z]*")
    monkeypatch.setattr(spelling, "NORMAL", lax)
    host = site.url.rsplit(":", 1)[0]
    bad = f"{host}:1\u0662\u0663\u0664/"
    assert spelling.normalise(bad) == bad
    site.page("/", f'<a href="{bad}">x</a><a href="/moved">x</a><a href="/good">x</a>')
    location = bad.encode().decode("latin-1")
    site.behave("/moved", redirect(f"{location}again"))
    site.behave("/robots.txt", redirect(f"{location}robots"))
    site.page("/good", "good")
    manifest = night(DAY1, budget={"time": "100s"})
    assert manifest.details["stopped"] == ""
    assert manifest.counts["skipped"] == {"bad_url": 2}
    assert (manifest.counts["documents"], manifest.counts["redirects"]) == (2, 1)
