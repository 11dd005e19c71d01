"""What an answer means: one response in, one outcome and its WARC record out."""

from __future__ import annotations

import re
from dataclasses import replace

from scrapy.http import Response

from tasks.sources.crawl import CrawlParams
from tasks.sources.web import record
from tasks.sources.web.download import Failed, Refused
from tasks.sources.web.links import Scope, links, normalise, sitemap
from tasks.sources.web.outcome import Outcome, Result, Task

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({"timeout", "dns", "connection", "disconnected", "incomplete", "http_408", "http_429"})
"""Errors that may be gone a moment later; so may every ``http_5xx``."""

_LONGEST_VALIDATOR = 512
_HTML = frozenset({"text/html", "application/xhtml+xml"})


def outcome_of(task: Task, result: Result, reason: str = "", status: int = 0) -> Outcome:
    """The end of a visit that left nothing behind."""
    here = (task.url, task.kind, task.round, task.rank, task.depth, task.hops)
    return Outcome(*here, result, reason, status, via=task.via)


def failure(task: Task, error: BaseException) -> Outcome:
    """The outcome of a visit without a response to keep."""
    if isinstance(error, Refused):
        return outcome_of(task, "skipped", error.reason, error.status)
    reason = error.reason if isinstance(error, Failed) else type(error).__name__
    return outcome_of(task, "error", reason)


def may_pass(outcome: Outcome) -> bool:
    """Whether a failed visit is worth another try."""
    return outcome.result == "error" and (outcome.reason in _PASSING or outcome.reason.startswith("http_5"))


def judge(task: Task, response: Response, date: str, params: CrawlParams, scope: Scope) -> tuple[Outcome, bytes | None]:
    """What became of a visit, and the WARC record of it if there is anything to record.

    ``date``: when the request was sent, ISO 8601.
    """
    status = response.status
    if status in _REDIRECTS:
        return _redirect(task, response, params, scope), None
    if task.kind == "sitemap":
        return _sitemap(task, response, params, scope), None
    if status == 304 and task.digest and task.captured:
        unchanged = replace(
            outcome_of(task, "unchanged", status=304),
            etag=_validator(response, "ETag") or task.etag,
            modified=_validator(response, "Last-Modified") or task.modified,
            digest=task.digest,
            captured=task.captured,
        )
        return unchanged, _revisit(task, response, date)
    if 200 <= status < 300:
        return _page(task, response, date, params, scope)
    if status in (404, 410) and task.digest:
        return outcome_of(task, "gone", status=status), _response(task, response, date)
    passing = status >= 500 or status in (304, 408, 429)
    return outcome_of(task, "error" if passing else "skipped", f"http_{status}", status), None


def _page(task: Task, response: Response, date: str, params: CrawlParams, scope: Scope) -> tuple[Outcome, bytes | None]:
    if not response.body:
        return outcome_of(task, "skipped", "empty", response.status), None
    kind, charset = _media_type(response)
    outlinks: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    if kind in _HTML and (task.depth < params.depth or params.images):
        outlinks, shown = links(response.body, task.url, charset, scope, images=params.images)
    digest = record.digest_of(response.body)
    same = digest == task.digest and task.captured is not None
    outcome = replace(
        outcome_of(task, "unchanged" if same else "page", status=response.status),
        etag=_validator(response, "ETag"),
        modified=_validator(response, "Last-Modified"),
        digest=digest,
        captured=task.captured if same else date,
        bytes=len(response.body),
        links=outlinks if task.depth < params.depth else (),
        images=shown,
    )
    return outcome, _revisit(task, response, date) if same else _response(task, response, date)


def _redirect(task: Task, response: Response, params: CrawlParams, scope: Scope) -> Outcome:
    location = (response.headers.get("Location") or b"").decode("utf-8", "replace")
    target = normalise(location, task.url) if location else None
    if target is None:
        return outcome_of(task, "skipped", "bad_redirect", response.status)
    if target == task.url or task.hops >= params.redirects:
        return outcome_of(task, "skipped", "redirects", response.status)
    if not scope.covers(target):
        return outcome_of(task, "skipped", "redirect_outside", response.status)
    return replace(outcome_of(task, "redirect", status=response.status), links=(target,))


def _sitemap(task: Task, response: Response, params: CrawlParams, scope: Scope) -> Outcome:
    if response.status != 200:
        passing = response.status >= 500 or response.status == 429
        return outcome_of(task, "error" if passing else "skipped", f"http_{response.status}", response.status)
    try:
        pages, maps = sitemap(response.body, task.url, scope)
    except ValueError:
        return outcome_of(task, "skipped", "bad_sitemap", response.status)
    maps = maps if task.hops < params.redirects else ()
    return replace(outcome_of(task, "sitemap", status=200), links=pages, sitemaps=maps)


def _response(task: Task, response: Response, date: str) -> bytes:
    return record.response(
        task.url,
        date=date,
        address=str(response.ip_address) if response.ip_address else None,
        status=response.flags[0].encode("latin-1", "replace"),
        headers=response.request.meta["raw_headers"] if response.request else (),
        payload=response.body,
        via=task.via,
    )


def _revisit(task: Task, response: Response, date: str) -> bytes:
    assert task.digest and task.captured
    return record.revisit(
        task.url,
        date=date,
        address=str(response.ip_address) if response.ip_address else None,
        status=response.flags[0].encode("latin-1", "replace"),
        headers=response.request.meta["raw_headers"] if response.request else (),
        digest=task.digest,
        captured=task.captured,
        not_modified=response.status == 304,
    )


def _media_type(response: Response) -> tuple[str, str | None]:
    header = (response.headers.get("Content-Type") or b"").decode("latin-1")
    kind, _, parameters = header.partition(";")
    charset = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", parameters, re.IGNORECASE | re.ASCII)
    return kind.strip().lower(), charset[1] if charset else None


def _validator(response: Response, name: str) -> str | None:
    """A validator that can be sent back as it came, or None."""
    value: str = (response.headers.get(name) or b"").decode("latin-1")
    return value if value and len(value) <= _LONGEST_VALIDATOR and value.isascii() and value.isprintable() else None
