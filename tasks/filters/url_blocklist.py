"""Leave out what certain hosts and addresses say, whatever it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.filters.lists import Listed, lines


class BlocklistParams(Listed):
    """``clean.filters: [{url_blocklist: {domains: [example.com], words: [casino]}}]``"""

    domains: tuple[str, ...] = Field((), description="hosts, and all hosts under them")
    urls: tuple[str, ...] = Field((), description="whole URLs, or beginnings of URLs that end in `*`")
    words: tuple[str, ...] = Field((), description="between the marks of a URL, as in casino in /best-casino-tips/")
    domain_files: tuple[str, ...] = Field((), description="files or store URLs with one domain a line")
    url_files: tuple[str, ...] = Field((), description="files or store URLs with one URL a line")

    @field_validator("domains")
    @classmethod
    def _bare(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for domain in value:
            if not re.fullmatch(r"[\w-]+(\.[\w-]+)*", domain):
                raise ValueError(f"{domain!r} is no bare domain, as in example.com")
        return value

    def lists(self) -> Iterable[str]:
        """Where the lists lie."""
        return (*self.domain_files, *self.url_files)


@FILTERS.register("url_blocklist")
class UrlBlocklist:
    """Drops ``url_blocklist.domain``, ``url_blocklist.url`` and ``url_blocklist.word``; the value is what matched."""

    Params = BlocklistParams
    MEASURES = ()

    def __init__(self, params: BlocklistParams) -> None:
        self._domains = {domain.lower().strip(".") for domain in (*params.domains, *lines(params.domain_files))}
        urls = [url.lower() for url in (*params.urls, *lines(params.url_files))]
        self._urls = {_plain(url) for url in urls if not url.endswith("*")}
        self._beginnings = tuple(_plain(url[:-1]) for url in urls if url.endswith("*"))
        self._words = frozenset(word.lower() for word in params.words)

    def judge(self, document: Document) -> Verdict:
        url = document.url.lower()
        try:
            host = (urlsplit(url).hostname or "").rstrip(".")
        except ValueError:
            host = ""
        labels = host.split(".")
        for at in range(len(labels)):
            domain = ".".join(labels[at:])
            if domain in self._domains:
                return Verdict("domain", domain)
        plain = _plain(url)
        if plain in self._urls or (self._beginnings and plain.startswith(self._beginnings)):
            return Verdict("url", plain)
        if self._words and (found := self._words.intersection(re.split(r"[^\w]|_", plain))):
            return Verdict("word", min(found))
        return Verdict()


def _plain(url: str) -> str:
    """Without what does not tell two pages apart."""
    return re.sub(r"^[a-z]+://(www\.)?", "", url).partition("#")[0].rstrip("/")
