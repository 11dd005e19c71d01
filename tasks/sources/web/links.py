"""Links out of pages and sitemaps, in one spelling each, and which of them a crawl follows."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from urllib.parse import urljoin, urlsplit, urlunsplit

import lxml.etree as etree
from w3lib.url import safe_url_string

from tasks.sources.web.pictures import Candidates, Image, Pictures

SITEMAP_BYTES = 52_428_800
"""What a sitemap may hold unpacked, as sitemaps.org says; what lies behind is not read."""

_LONGEST = 2000
_PORTS = {"http": 80, "https": 443}
NORMAL = re.compile(r"https?://[a-z0-9]+(?:[.-][a-z0-9]+)*(?::(?:[1-9][0-9]{3}|[1-5][0-9]{4}))?/[A-Za-z0-9/_.~-]*")
"""What has the one spelling already, as most URLs have: working that out takes twenty times as long as seeing it."""
_CHARSET = re.compile(r"[A-Za-z][\w.:-]{1,40}", re.ASCII)


class Scope:
    """Domains and URL patterns that a crawl stays within."""

    def __init__(self, domains: Sequence[str], allow: Sequence[str], deny: Sequence[str]) -> None:
        self._domains = frozenset(domain.lower().rstrip(".") for domain in domains)
        self._allow = [re.compile(pattern) for pattern in allow]
        self._deny = [re.compile(pattern) for pattern in deny]

    def covers(self, url: str) -> bool:
        """Whether the URL's host is one of the domains or below one, and its patterns let it pass."""
        host = (urlsplit(url).hostname or "").rstrip(".")
        if not any(host == domain or host.endswith(f".{domain}") for domain in self._domains):
            return False
        if self._allow and not any(pattern.search(url) for pattern in self._allow):
            return False
        return not any(pattern.search(url) for pattern in self._deny)


def normalise(url: str, base: str = "") -> str | None:
    """One spelling of an absolute http(s) URL: escaped, lower-case host, no fragment, no default port.

    None for anything else, for a URL with a user name, and for one of more than 2,000 characters.
    """
    if NORMAL.fullmatch(url) and len(url) <= _LONGEST:
        return url
    try:
        joined = urljoin(base, url.strip()) if base else url.strip()
        parts = urlsplit(safe_url_string(joined))
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc or len(joined) > _LONGEST:
        return None
    if ":" in host:
        host = f"[{host}]"
    netloc = host if port in (None, _PORTS[parts.scheme]) else f"{host}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))


def links(
    html: bytes, url: str, charset: str | None, scope: Scope, *, images: bool = False
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The URLs in scope that a page links to, and with ``images`` those that it shows; in document order, each once.

    Of an image in several sizes the largest in scope counts. libxml2 reads the page as a stream: deep nesting and
    unclosed tags cost linear time. ``nofollow``, as a link's ``rel`` or in the page's robots meta tag, is respected.
    """
    collector = _Links(Pictures() if images else None)
    encoding = charset if charset and _CHARSET.fullmatch(charset) else None
    try:
        parser = etree.HTMLParser(target=collector, encoding=encoding, recover=True, huge_tree=False)
    except LookupError:  # a charset that libxml2 does not know; links are ASCII nearly always
        parser = etree.HTMLParser(target=collector, recover=True, huge_tree=False)
    with suppress(etree.XMLSyntaxError, ValueError):  # what was found up to there counts
        etree.fromstring(html, parser)
    if collector.nofollow:
        return (), ()
    base = (normalise(collector.base, url) if collector.base else None) or url
    shown = collector.pictures.found if collector.pictures else ()
    return _in_scope(collector.hrefs, base, scope), tuple(
        dict.fromkeys(found for image in shown if (found := _largest(image, base, scope)))
    )


def sitemap(body: bytes, url: str, scope: Scope, limit: int = SITEMAP_BYTES) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(pages, further sitemaps) of a sitemap or sitemap index, XML or plain text, gzip or not.

    Raises:
        ValueError: neither XML nor a list of URLs.
    """
    if body[:2] == b"\x1f\x8b":
        with gzip.open(io.BytesIO(body)) as packed:
            try:
                body = packed.read(limit)
            except (OSError, EOFError) as error:
                raise ValueError(f"damaged gzip: {error}") from error
    if body.lstrip()[:1] != b"<":
        lines = body.decode("utf-8", "replace").split()
        return _in_scope((line for line in lines if line.startswith("http")), url, scope), ()
    pages: list[str] = []
    maps: list[str] = []
    events = etree.iterparse(
        io.BytesIO(body), events=("end",), recover=True, resolve_entities=False, no_network=True, huge_tree=False
    )
    try:
        for _, element in events:
            name = etree.QName(element).localname if isinstance(element.tag, str) else ""
            if name == "loc" and element.text:
                parent = element.getparent()
                inside = etree.QName(parent).localname if parent is not None else ""
                (maps if inside == "sitemap" else pages).append(element.text)
            elif name in ("url", "sitemap"):
                element.clear()
    except etree.XMLSyntaxError as error:
        if not pages and not maps:
            raise ValueError(str(error)) from error
    return _in_scope(pages, url, scope), _in_scope(maps, url, scope)


def _in_scope(found: Iterable[str], base: str, scope: Scope) -> tuple[str, ...]:
    urls = (normalise(one, base) for one in found)
    return tuple(dict.fromkeys(url for url in urls if url and scope.covers(url)))


def _largest(image: Image, base: str, scope: Scope) -> str | None:
    """The first of its sources that can be fetched at all decides: a thumbnail does not make up for what is outside.

    What ``<noscript>`` has decides only if it is in scope: it may be a tracker's, and the image one that is there.
    """
    found = _first(image.lazy, base, scope)
    if found is None and image.fallback is not None:
        found = _largest(image.fallback, base, scope)
    if found is None:
        found = _first(image.plain, base, scope)
    return found or None


def _first(sources: Iterable[Candidates], base: str, scope: Scope) -> str | None:
    """The largest in scope of the first that can be fetched at all; empty if none of it is in scope."""
    for candidates in sources:
        fetchable = False
        for one in candidates:
            if url := normalise(one, base):
                if scope.covers(url):
                    return url
                fetchable = True
        if fetchable:
            return ""
    return None


class _Links:
    """lxml parser target: collects hrefs, and images if they are asked for, as tags go by; builds no tree."""

    def __init__(self, pictures: Pictures | None) -> None:
        self.hrefs: list[str] = []
        self.pictures = pictures
        self.base = ""
        self.nofollow = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self.pictures is not None:
            self.pictures.start(tag, attributes)
        if tag in ("a", "area"):
            if "href" in attributes and "nofollow" not in attributes.get("rel", "").lower():
                self.hrefs.append(attributes["href"])
        elif tag in ("frame", "iframe"):
            if "src" in attributes:
                self.hrefs.append(attributes["src"])
        elif tag == "base":
            self.base = self.base or attributes.get("href", "")
        elif tag == "meta" and attributes.get("name", "").lower() == "robots":
            rules = attributes.get("content", "").lower()
            self.nofollow = self.nofollow or "nofollow" in rules or "none" in rules

    def end(self, tag: str) -> None:
        if self.pictures is not None:
            self.pictures.end(tag)

    def close(self) -> None: ...
