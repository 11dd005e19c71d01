"""What the web does to a crawler, one behaviour each, and a site that has them all."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

from tests.sites.site import Behaviour, Handler, Site


def redirect(location: str, status: int = 302) -> Behaviour:
    return lambda handler: handler.answer(status, b"", {"Location": location})


def status(code: int, body: bytes = b"") -> Behaviour:
    return lambda handler: handler.answer(code, body, {"Content-Type": "text/html"})


def endless_redirect(handler: Handler) -> None:
    """Every hop leads to a URL that was never seen before."""
    number = int(handler.path.partition("?n=")[2] or 0) + 1
    handler.answer(302, b"", {"Location": f"{handler.path.partition('?')[0]}?n={number}"})


def bomb(handler: Handler) -> None:
    """20 kB that unpack to 20 MB."""
    body = gzip.compress(bytes(20_000_000))
    handler.answer(200, body, {"Content-Type": "text/html", "Content-Encoding": "gzip"})


def announced_giant(handler: Handler) -> None:
    """Says it is 1 GB, sends a little of it."""
    handler.hit(200)
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000000000\r\n\r\n" + bytes(10_000))
    handler.close_connection = True


def silent_giant(handler: Handler) -> None:
    """Never says how large it is, and never ends."""
    handler.hit(200)
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n")
    handler.close_connection = True
    while not handler.site.closing.is_set():
        handler.raw(b"x" * 65536)


def slow_loris(handler: Handler) -> None:
    """One byte at a time, for ever."""
    handler.hit(200)
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 10000\r\n\r\n")
    handler.close_connection = True
    while not handler.site.closing.wait(0.1):
        handler.raw(b".")


def silence(handler: Handler) -> None:
    """Takes the request and says nothing."""
    handler.hit(0)
    handler.site.closing.wait()
    handler.close_connection = True


def cut_off(handler: Handler) -> None:
    """Promises more than it sends."""
    handler.hit(200)
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5000\r\n\r\n<p>half a page")
    handler.close_connection = True


def hang_up(handler: Handler) -> None:
    """Closes the connection instead of answering."""
    handler.hit(0)
    handler.close_connection = True


def no_http(handler: Handler) -> None:
    """Answers in another language."""
    handler.hit(0)
    handler.raw(b"SSH-2.0-OpenSSH_9.6\r\n")
    handler.close_connection = True


def header_flood(handler: Handler) -> None:
    """Headers that never end."""
    handler.hit(200)
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")
    handler.close_connection = True
    for n in range(100_000):
        handler.raw(b"X-Header-%d: %s\r\n" % (n, b"y" * 1000))


def lying_gzip(handler: Handler) -> None:
    """A gzip body that breaks off."""
    body = gzip.compress(b"<p>text</p>" * 1000)[:-20]
    handler.answer(200, body, {"Content-Type": "text/html", "Content-Encoding": "gzip"})


def nested_tags(handler: Handler) -> None:
    """100,000 unclosed links: quadratic for some parsers."""
    handler.answer(200, b"<a href=/nested>" * 100_000, {"Content-Type": "text/html"})


HOSTILE: Mapping[str, tuple[Behaviour, str]] = {
    "/bomb": (bomb, "decompression_bomb"),
    "/announced-giant": (announced_giant, "oversize"),
    "/silent-giant": (silent_giant, "oversize"),
    "/slow-loris": (slow_loris, "timeout"),
    "/silence": (silence, "timeout"),
    "/cut-off": (cut_off, "incomplete"),
    "/hang-up": (hang_up, "disconnected"),
    "/no-http": (no_http, "bad_response"),
    "/header-flood": (header_flood, "bad_response"),
    "/lying-gzip": (lying_gzip, "undecodable"),
    "/endless": (endless_redirect, "redirects"),
    "/loop": (redirect("/loop"), "redirects"),
    "/bad-redirect": (redirect("javascript:alert(1)"), "bad_redirect"),
    "/outside": (redirect("http://elsewhere.invalid/"), "redirect_outside"),
    "/broken": (status(500), "http_500"),
    "/busy": (status(503), "http_503"),
    "/forbidden": (status(403), "http_403"),
    "/missing": (status(404), "http_404"),
    "/empty": (status(200), "empty"),
}
"""Path to behaviour, and the reason that a crawl must count for it."""


def infest(site: Site, *, at: str = "/hostile") -> None:
    """Give a site every hostile behaviour, and a page ``at`` that links to all of them."""
    for path, (behaviour, _) in HOSTILE.items():
        site.behave(path, behaviour)
    site.behave("/nested", nested_tags)
    site.page("/image.png", b"\x89PNG", "image/png")
    odd = [
        "http://",
        "mailto:a@b",
        "javascript:void(0)",
        "http://[::1",
        "//",
        "http://a:b@127.0.0.1/",
        "?" * 3000,
    ]
    paths = [*HOSTILE, "/nested", "/image.png"]
    site.page(at, "".join(f'<a href="{path}">x</a>' for path in [*paths, *odd]))
