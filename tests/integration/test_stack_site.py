"""The demo site: pages made by pydoc in processes that may die, served with validators."""

from __future__ import annotations

import http.client
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from containers.embedded import render as rendering
from containers.embedded.render import finish, render_apart
from containers.embedded.site import SiteServer
from tasks.config.load import load_corpus
from tasks.errors import NightshiftError
from tasks.text.extract import fast
from tasks.text.normalise import stripper

pytestmark = pytest.mark.integration

BROKEN = {
    "crashes": "import os; os._exit(7)",
    "hangs": "import time; time.sleep(600)",
    "raises": "raise RuntimeError('not here')",
    "exits": "raise SystemExit(3)",
    "chatters": "print('not a module name')",
    "waits": "input()",
}
GOOD = '"""A module that says something."""\n' + "\n".join(
    f'def function_{n}(a, b=object()):\n    """Adds one thing to another, number {n}."""\n' for n in range(20)
)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package on the path of rendering processes, with modules of every bad sort among the good ones."""
    package = tmp_path / "place" / "wild"
    (package / "deep").mkdir(parents=True)
    for name in ("__init__", "aardvark", "zebra", "deep/__init__", "deep/end"):
        (package / f"{name}.py").write_text(GOOD)
    for name, source in BROKEN.items():
        (package / f"{name}.py").write_text(f"{source}\n{GOOD}")
    # The project's own folder is what a rendering process is given as its path.
    (tmp_path / "place" / "containers").symlink_to(rendering.ROOT / "containers")
    (tmp_path / "place" / "tasks").symlink_to(rendering.ROOT / "tasks")
    monkeypatch.setattr(rendering, "ROOT", tmp_path / "place")
    monkeypatch.setattr(rendering, "PATIENCE", 5.0)
    return "wild"


@pytest.fixture(scope="module")
def rich_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    render_apart("rich", folder)
    finish(folder, ["rich"])
    return folder


@pytest.fixture
def site(rich_pages: Path) -> Iterator[SiteServer]:
    with SiteServer(rich_pages) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def get(site: SiteServer, path: str, method: str = "GET", **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", site.server_port, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def test_a_module_that_crashes_hangs_or_raises_costs_itself_alone(tmp_path: Path, library: str) -> None:
    started = time.monotonic()
    render_apart(library, tmp_path / "site")
    names = {page.stem for page in (tmp_path / "site" / library).glob("*.html")}
    assert names == {"wild", "wild.aardvark", "wild.zebra", "wild.deep", "wild.deep.end", "wild.chatters"}
    assert time.monotonic() - started < 60


def test_a_library_without_a_page_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(NightshiftError, match=r"(?s)no_such_library.*No module named"):
        render_apart("no_such_library", tmp_path)


def test_a_second_rendering_gives_identical_bytes(tmp_path: Path, rich_pages: Path) -> None:
    render_apart("rich", tmp_path)
    finish(tmp_path, ["rich"])
    pages = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(pages) > 20
    assert [page for page in pages if (tmp_path / page).read_bytes() != (rich_pages / page).read_bytes()] == []


def test_pages_tell_nothing_of_the_machine(rich_pages: Path) -> None:
    text = "".join(page.read_text() for page in rich_pages.rglob("*.html"))
    assert not re.search(r"0x[0-9a-f]{8,}", text)
    for place in (sys.prefix, str(rendering.ROOT), str(Path.home()) + "/", os.environ.get("PATH", "?"), "file:/"):
        assert place not in text


def test_the_example_corpus_leaves_no_page_that_names_its_library(rich_pages: Path) -> None:
    corpus = load_corpus(rendering.ROOT / "dags/corpora/docs.yaml", {})
    strip = stripper(corpus.clean.strip)
    texts = [fast(page.read_text(encoding="utf-8")).text for page in (rich_pages / "rich").glob("*.html")]
    assert sum("rich" in text.lower() for text in texts) > 20
    assert [found for text in texts if (found := re.findall(r"(?i).{20}rich.{20}", strip(text)))] == []


def test_every_link_and_every_url_of_the_sitemap_leads_to_a_page(site: SiteServer, rich_pages: Path) -> None:
    _, _, sitemap = get(site, "/sitemap.xml")
    pages = [url.split(str(site.server_port))[1] for url in re.findall(r"<loc>(.*?)</loc>", sitemap.decode())]
    linked = {
        link
        for page in rich_pages.rglob("*.html")
        for link in re.findall(r'href="(/[^"#]*)', page.read_text(encoding="utf-8"))
    }
    assert len(pages) > 20
    assert {url for url in {*pages, *linked} if get(site, url)[0] != 200} == set()
    assert f"Sitemap: http://127.0.0.1:{site.server_port}/sitemap.xml" in get(site, "/robots.txt")[2].decode()


def test_who_has_a_page_is_told_that_it_did_not_change(site: SiteServer) -> None:
    status, headers, body = get(site, "/rich/rich.text.html")
    assert (status, int(headers["Content-Length"])) == (200, len(body))
    for condition in (
        {"If_None_Match": headers["ETag"]},
        {"If_None_Match": f'"other", {headers["ETag"]}'},
        {"If_Modified_Since": headers["Last-Modified"]},
        {"If_Modified_Since": formatdate(time.time() + 60, usegmt=True)},
    ):
        status, again, rest = get(site, "/rich/rich.text.html", **condition)
        assert (status, rest, again["ETag"]) == (304, b"", headers["ETag"]), condition


def test_a_page_that_changed_since_is_sent_again(site: SiteServer) -> None:
    for condition in (
        {"If_None_Match": '"other"'},
        {"If_Modified_Since": formatdate(0, usegmt=True)},
        {"If_Modified_Since": "last tuesday"},
        # RFC 9110 13.1.3: the date is ignored where there is an entity tag to compare.
        {"If_None_Match": '"other"', "If_Modified_Since": formatdate(time.time() + 60, usegmt=True)},
    ):
        assert get(site, "/rich/rich.text.html", **condition)[0] == 200, condition


def test_head_has_the_headers_of_get_and_no_body(site: SiteServer) -> None:
    _, headers, _ = get(site, "/rich/rich.text.html")
    status, again, body = get(site, "/rich/rich.text.html", method="HEAD")
    assert (status, body, again["Content-Length"]) == (200, b"", headers["Content-Length"])


@pytest.mark.parametrize("path", ["/nothing.html", "/rich", "/urls.json", "/../urls.json", "/%2e%2e/%2e%2e/etc/passwd"])
def test_only_pages_are_served(site: SiteServer, path: str) -> None:
    status, _, body = get(site, path)
    assert (status == 200) == (path == "/rich")
    assert b"root:" not in body


def test_a_page_comes_in_one_go_over_a_connection_that_is_kept(site: SiteServer) -> None:
    with socket.create_connection(("127.0.0.1", site.server_port), timeout=10) as client:
        started = time.monotonic()
        for _ in range(50):
            client.sendall(b"GET /rich/index.html HTTP/1.1\r\nHost: here\r\n\r\n")
            head, _, rest = client.recv(65536).partition(b"\r\n\r\n")
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
            while len(rest) < length:
                rest += client.recv(65536)
        # Half a second would be 10 ms a page; two segments that wait for each other take 40.
        assert time.monotonic() - started < 1.5
