"""What became of one URL: the unit that segments record and a resumed crawl replays."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

Kind = Literal["page", "sitemap"]
Result = Literal["page", "unchanged", "gone", "redirect", "sitemap", "skipped", "error"]


@dataclass(frozen=True, slots=True)
class Task:
    """One URL to visit, with what is known of it from the partition before.

    ``round``: links found in one round are visited in the next. ``rank``: its place in the round.
    ``hops``: redirects that led here. ``captured``: when the payload of ``digest`` was recorded
    (ISO 8601), in whatever partition.
    """

    url: str
    kind: Kind
    depth: int
    round: int
    rank: int
    hops: int
    etag: str | None = None
    modified: str | None = None
    digest: str | None = None
    captured: str | None = None
    via: str | None = None
    """Of an image the page that shows it."""


@dataclass(frozen=True, slots=True)
class Found:
    """One URL that a page, a redirect or a sitemap leads to."""

    url: str
    kind: Kind = "page"
    depth: int = 0
    hops: int = 0
    via: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a visit.

    ``reason`` says why for ``skipped`` (the page or a rule is why: another night will be the same) and
    ``error`` (the network or the server is why). ``links``: URLs to visit, in document order; of a redirect,
    its target; of a sitemap, its pages (``sitemaps``: further sitemaps). ``bytes``: of the payload.
    """

    url: str
    kind: Kind
    round: int
    rank: int
    depth: int
    hops: int
    result: Result
    reason: str = ""
    status: int = 0
    etag: str | None = None
    modified: str | None = None
    digest: str | None = None
    captured: str | None = None
    bytes: int = 0
    links: tuple[str, ...] = field(default=())
    sitemaps: tuple[str, ...] = field(default=())
    images: tuple[str, ...] = field(default=())
    """What a page shows, where the crawl asks for it."""
    via: str | None = None

    def found(self) -> list[Found]:
        """What it leads to."""
        if self.result == "redirect":
            return [Found(url, self.kind, self.depth, self.hops + 1, self.via) for url in self.links]
        depth = 0 if self.kind == "sitemap" else self.depth + 1
        pages = [Found(url, "page", depth) for url in self.links]
        # An image is as deep as its page: it leads nowhere.
        pages += [Found(url, "page", self.depth, via=self.url) for url in self.images]
        return pages + [Found(url, "sitemap", 0, self.hops + 1) for url in self.sitemaps]

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the defaults: a segment holds many of these."""
        values = ((name, getattr(self, name), default) for name, default in _DEFAULTS)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value, default in values
            if value != default
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Outcome:
        lists: dict[str, Any] = {name: tuple(value[name]) for name in ("links", "sitemaps", "images") if name in value}
        return cls(**{**value, **lists})


_DEFAULTS = tuple((each.name, each.default) for each in fields(Outcome))
