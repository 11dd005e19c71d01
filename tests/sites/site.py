"""A real HTTP site on loopback: pages with validators, an access log, and any misbehaviour a test adds."""

from __future__ import annotations

import hashlib
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

Behaviour = Callable[["Handler"], None]
LAST_MODIFIED = "Fri, 20 Nov 2026 06:00:00 GMT"


@dataclass(frozen=True)
class Hit:
    """One request as the server saw it."""

    path: str
    status: int
    headers: Mapping[str, str]


@dataclass
class Content:
    """One page; ``etag`` and ``modified`` are what conditional requests are compared with."""

    body: bytes
    content_type: str = "text/html; charset=utf-8"
    etag: str | None = None
    modified: str | None = LAST_MODIFIED
    headers: Mapping[str, str] = field(default_factory=dict)


class Site:
    """Serves ``pages`` by path (query included) and ``behaviours`` by the path alone.

    >>> with Site() as site:
    ...     site.page("/", "<a href=/a>a</a>")
    ...     site.url
    'http://127.0.0.1:40123'
    """

    def __init__(self, *, certificate: Path | None = None) -> None:
        self.pages: dict[str, Content] = {}
        self.behaviours: dict[str, Behaviour] = {}
        self.hits: list[Hit] = []
        self.closing = threading.Event()
        """Set when the site goes down: a behaviour that dawdles waits on it."""
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.site = self  # type: ignore[attr-defined]
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def page(self, path: str, body: str | bytes, content_type: str = "text/html; charset=utf-8") -> None:
        """Publish a page, with an ETag of its bytes and a Last-Modified."""
        data = body.encode() if isinstance(body, str) else body
        self.pages[path] = Content(data, content_type, etag=f'"{hashlib.sha256(data).hexdigest()[:16]}"')

    def tree(self, pages: int, *, fan: int = 5, words: int = 60) -> None:
        """Publish ``/`` and ``/p/<n>``, each linking to the next ``fan`` below it, its parent and itself."""
        for n in range(pages):
            below = range(n * fan + 1, min(n * fan + fan + 1, pages))
            links = "".join(f'<a href="/p/{m}#top">page {m}</a>\n' for m in (*below, n, max((n - 1) // fan, 0)))
            text = " ".join(f"word{(n * 7919 + i) % 997}" for i in range(words))
            path = "/" if n == 0 else f"/p/{n}"
            self.page(path, f"<html><title>Page {n}</title><body><p>{text}</p>{links}</body></html>")
        self.pages["/p/0"] = self.pages["/"]

    def behave(self, path: str, behaviour: Behaviour) -> None:
        self.behaviours[path] = behaviour

    def fetched(self, *, status: int | None = None) -> Counter[str]:
        """How often each path but robots.txt was answered (with this status)."""
        return Counter(h.path for h in self.hits if h.path != "/robots.txt" and status in (None, h.status))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # a crawler that hangs up is what some tests want
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """One connection to a ``Site``."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer: Nagle's wait would cost 40 ms each

    @property
    def site(self) -> Site:
        return self.server.site  # type: ignore[attr-defined,no-any-return]

    def do_GET(self) -> None:
        behaviour = self.site.behaviours.get(self.path.partition("?")[0])
        if behaviour is not None:
            try:
                behaviour(self)
            except (ConnectionError, ssl.SSLError):
                self.close_connection = True
            return
        content = self.site.pages.get(self.path)
        if content is None:
            self.answer(404, b"not found", {"Content-Type": "text/plain"})
        elif self._fresh(content):
            self.answer(304, None, self._validators(content))
        else:
            self.answer(
                200,
                content.body,
                {"Content-Type": content.content_type, **self._validators(content), **content.headers},
            )

    def answer(self, status: int, body: bytes | None, headers: Mapping[str, str] | None = None) -> None:
        """A whole, well-formed answer, logged before it is sent."""
        self.hit(status)
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body or b"")
        self.wfile.flush()

    def hit(self, status: int) -> None:
        self.site.hits.append(Hit(self.path, status, dict(self.headers.items())))

    def raw(self, data: bytes) -> None:
        """Bytes as they are, unbuffered."""
        self.wfile.write(data)
        self.wfile.flush()

    def _fresh(self, content: Content) -> bool:
        match = self.headers.get("If-None-Match")
        if match is not None:
            return content.etag is not None and match == content.etag
        since = self.headers.get("If-Modified-Since")
        return since is not None and since == content.modified

    def _validators(self, content: Content) -> dict[str, str]:
        found = {"ETag": content.etag, "Last-Modified": content.modified}
        return {name: value for name, value in found.items() if value is not None}

    def log_message(self, format: str, *args: object) -> None: ...
