"""Links: one spelling each, in scope only, whatever the page."""

from __future__ import annotations

import gzip
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.sources.web import links as spelling
from tasks.sources.web.links import Scope, links, normalise, sitemap

EVERYTHING = Scope(["site.test"], (), ())
HERE = "http://site.test/dir/page"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("other", "http://site.test/dir/other"),
        ("/a b", "http://site.test/a%20b"),
        ("  ?q=1&q=ü#top ", "http://site.test/dir/page?q=1&q=%C3%BC"),
        ("HTTP://Site.TEST:80/X", "http://site.test/X"),
        ("https://site.test:443", "https://site.test/"),
        ("//site.test:8080/x", "http://site.test:8080/x"),
        ("http://bücher.test/", "http://xn--bcher-kva.test/"),
        ("http://[::1]:81/x", "http://[::1]:81/x"),
        ("../../x", "http://site.test/x"),
        ("%41%zz", "http://site.test/dir/%41%zz"),
    ],
)
def test_a_url_has_one_spelling(found: str, expected: str) -> None:
    assert normalise(found, HERE) == expected
    assert normalise(expected) == expected


@given(
    st.sampled_from(["a.b", "a", "127.0.0.1", "a-b.c", "a" * 70 + ".x", "A.b", "xn--bcher-kva.test"]),
    st.sampled_from(["", ":8080", ":80", ":443", ":59999", ":0080"]),
    st.text("abzA09/_.~-:%?#;=@ ", max_size=12),
)
def test_a_url_that_looks_normal_is_normal(host: str, port: str, path: str) -> None:
    url = f"http://{host}{port}/{path}"
    if spelling.NORMAL.fullmatch(url):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(spelling, "NORMAL", re.compile("never"))
            assert normalise(url) == normalise(url, HERE) == url


@pytest.mark.parametrize(
    "found",
    ["mailto:a@b", "javascript:x", "ftp://site.test/", "http://[::1", "http://u:p@site.test/",
     "http://site.test:99999/", "http://site.test:1\u0662\u0663\u0664/", "http://site.test:\u0661\u0662\u0663\u0664\u0665/",
     "data:text/html,x", "x" * 3000],
)  # fmt: skip
def test_what_cannot_be_fetched_is_no_link(found: str) -> None:
    assert normalise(found, HERE) is None


def test_links_are_read_in_document_order_each_once() -> None:
    html = b"""<base href="/b/"><a href=x>1</a><area href="y"><a href="x#again">1</a><iframe src="z"></iframe>
    <a rel="nofollow" href="no">n</a><a>none</a><a href="http://elsewhere.test/">out</a><!-- <a href=c> -->"""
    assert links(html, HERE, "utf-8", EVERYTHING)[0] == tuple(f"http://site.test/b/{name}" for name in "xyz")


def test_a_page_may_forbid_to_follow_its_links() -> None:
    assert links(b'<meta name="ROBOTS" content="noindex, NoFollow"><a href=x>', HERE, None, EVERYTHING)[0] == ()


def test_charsets_known_or_not_do_not_lose_links() -> None:
    for charset in ("utf-8", "no-such-charset", "x" * 90, None):
        assert links(b'\xe9\xa0"<a href="/x">\x00</a>', HERE, charset, EVERYTHING)[0] == ("http://site.test/x",)
    utf16 = '<a href="/x">'.encode("utf-16")
    assert links(utf16, HERE, "utf-16", EVERYTHING)[0] == ("http://site.test/x",)


@pytest.mark.parametrize("piece", [b"<div>", b"<a href=/x>", b"<b><i><p>", b"<!--", b"<", b"&", b"<table><tr><td>"])
def test_no_page_takes_more_than_linear_time(piece: bytes) -> None:
    started = time.process_time()
    links(piece * 200_000, HERE, None, EVERYTHING)
    assert time.process_time() - started < 5


def test_scope_is_domains_with_their_subdomains_and_patterns() -> None:
    scope = Scope(["Site.test", "127.0.0.1"], ["/docs/"], [r"\.pdf$"])
    inside = ["http://site.test/docs/", "http://www.site.test/docs/x", "http://127.0.0.1:81/docs/y"]
    outside = [
        "http://notsite.test/docs/",
        "http://site.test/",
        "http://site.test/docs/x.pdf",
        "http://site.test.evil/docs/",
    ]
    assert [url for url in inside + outside if scope.covers(url)] == inside


def test_a_sitemap_may_be_an_index_a_list_or_packed() -> None:
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    urlset = (
        f'<?xml version="1.0"?><urlset xmlns="{space}"><url><loc> http://site.test/a </loc></url></urlset>'.encode()
    )
    index = b"<sitemapindex><sitemap><loc>http://site.test/s.xml</loc></sitemap></sitemapindex>"
    assert sitemap(urlset, HERE, EVERYTHING, 10**6) == (("http://site.test/a",), ())
    assert sitemap(gzip.compress(urlset), HERE, EVERYTHING, 10**6) == (("http://site.test/a",), ())
    assert sitemap(index, HERE, EVERYTHING, 10**6) == ((), ("http://site.test/s.xml",))
    assert sitemap(b"http://site.test/a\nhttp://elsewhere.test/\n", HERE, EVERYTHING, 10**6) == (
        ("http://site.test/a",),
        (),
    )


def test_a_sitemap_cannot_expand_entities_read_files_or_fill_memory() -> None:
    lol = b'<!DOCTYPE x [<!ENTITY a "http://site.test/lol"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
    body = (
        lol
        + b"<urlset><url><loc>&a;</loc></url><url><loc>&f;</loc></url><url><loc>http://site.test/ok</loc></url></urlset>"
    )
    assert sitemap(body, HERE, EVERYTHING, 10**6) == (("http://site.test/ok",), ())
    bomb = gzip.compress(b"<urlset>" + bytes(50_000_000))
    assert sitemap(bomb, HERE, EVERYTHING, 1_000_000) == ((), ())
    with pytest.raises(ValueError, match="gzip"):
        sitemap(gzip.compress(b"<urlset>")[:-6], HERE, EVERYTHING, 10**6)


def test_images_are_told_from_links_and_stay_in_scope() -> None:
    html = b'<a href="/p"><img src="a.png" alt=x></a><img src="//other.test/b.png"><img><img src="/a.png#x">'
    scope = Scope(["site.test"], [], [])
    assert links(html, "http://site.test/dir/x", None, scope, images=True) == (
        ("http://site.test/p",),
        ("http://site.test/dir/a.png", "http://site.test/a.png"),
    )
    unfollowed = b'<meta name=robots content=nofollow><img src="a.png">'
    assert links(unfollowed, HERE, None, EVERYTHING, images=True) == ((), ())
