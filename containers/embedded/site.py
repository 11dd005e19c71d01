"""The demo site: a folder over HTTP on loopback, with the validators that a polite crawler asks for."""

from __future__ import annotations

import hashlib
import json
import sys
from email.utils import formatdate, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from containers.embedded.ports import LOOPBACK

TYPES = {".html": "text/html; charset=utf-8", ".xml": "application/xml", ".txt": "text/plain; charset=utf-8"}


class SiteHandler(BaseHTTPRequestHandler):
    """Pages with ETag and Last-Modified; 304 to whoever has them; robots.txt and sitemap.xml are made here."""

    protocol_version = "HTTP/1.1"
    # Headers and body in one segment: two would wait for each other's acknowledgement, 40 ms a page.
    wbufsize = -1
    root: Path

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == "/robots.txt":
            self._send(f"User-agent: *\nAllow: /\nSitemap: {self._base}/sitemap.xml\n".encode(), ".txt", 0)
        elif path == "/sitemap.xml":
            self._send(self._sitemap(), ".xml", 0)
        else:
            self._send_file(path)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        sys.stdout.write(f"{self.command} {self.path} {args[1] if len(args) > 1 else ''}\n")

    @property
    def _base(self) -> str:
        return f"http://{self.headers.get('Host', LOOPBACK)}"

    def _send_file(self, path: str) -> None:
        file = (self.root / path.lstrip("/")).resolve()
        if file.is_dir():
            file = file / "index.html"
        if not file.is_relative_to(self.root) or not file.is_file() or file.suffix != ".html":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self._send(file.read_bytes(), file.suffix, int(file.stat().st_mtime))

    def _send(self, body: bytes, suffix: str, modified: int) -> None:
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        fresh = self._is_fresh(etag, modified)
        self.send_response(HTTPStatus.NOT_MODIFIED if fresh else HTTPStatus.OK)
        self.send_header("ETag", etag)
        if modified:
            self.send_header("Last-Modified", formatdate(modified, usegmt=True))
        if not fresh:
            self.send_header("Content-Type", TYPES[suffix])
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not fresh and self.command == "GET":
            self.wfile.write(body)

    def _is_fresh(self, etag: str, modified: int) -> bool:
        if known := self.headers.get("If-None-Match"):
            return etag in (each.strip() for each in known.split(","))
        try:
            since = parsedate_to_datetime(self.headers.get("If-Modified-Since", "")).timestamp()
        except ValueError:
            return False
        return 0 < modified <= since

    def _sitemap(self) -> bytes:
        urls = json.loads((self.root / "urls.json").read_text())
        entries = "".join(f"<url><loc>{self._base}{url}</loc></url>" for url in urls)
        return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'.encode()


class SiteServer(ThreadingHTTPServer):
    """A thread a connection, on loopback only; ``port`` 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root: Path, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), type("Handler", (SiteHandler,), {"root": root.resolve()}))


if __name__ == "__main__":
    SiteServer(Path(sys.argv[1]), int(sys.argv[2])).serve_forever()
