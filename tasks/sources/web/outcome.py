"""What became of one URL: the unit that segments record and a resumed crawl replays."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
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


@dataclass(frozen=True, slots=True)
class Found:
    """One URL that a page, a redirect or a sitemap leads to."""

    url: str
    kind: Kind = "page"
    depth: int = 0
    hops: int = 0


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

    def found(self) -> list[Found]:
        """What it leads to."""
        if self.result == "redirect":
            return [Found(url, self.kind, self.depth, self.hops + 1) for url in self.links]
        depth = 0 if self.kind == "sitemap" else self.depth + 1
        pages = [Found(url, "page", depth) for url in self.links]
        return pages + [Found(url, "sitemap", 0, self.hops + 1) for url in self.sitemaps]

    def to_json(self) -> dict[str, Any]:
        """Only what differs from the defaults: a segment holds many of these."""
        defaults = {f.name: f.default for f in fields(self)}
        return {name: value for name, value in asdict(self).items() if defaults[name] != value}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Outcome:
        lists: dict[str, Any] = {name: tuple(value[name]) for name in ("links", "sitemaps") if name in value}
        return cls(**{**value, **lists})
