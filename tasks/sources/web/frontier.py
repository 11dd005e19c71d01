"""Every URL that a crawl knows, on disk: memory stays bounded whatever the site's size.

Visits go in rounds. Round 0 are the seeds and sitemaps, round 1 what they lead to and every URL that
earlier partitions knew, and so on: links found in one round are visited in the next. Within a round the
order is fixed before its first visit, never-visited URLs first and then those not seen for longest. So
which URLs a page budget reaches does not depend on the order of answers, and a crawl that was killed
ends with the same URLs as one that was not.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tasks.sources.web.outcome import Found, Outcome, Task

_SCHEMA = """
CREATE TABLE urls (
    url TEXT PRIMARY KEY, host TEXT NOT NULL, kind TEXT NOT NULL,
    depth INTEGER NOT NULL, hops INTEGER NOT NULL,
    round INTEGER NOT NULL, parent INTEGER NOT NULL, position INTEGER NOT NULL, rank INTEGER,
    state INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0,
    before TEXT NOT NULL DEFAULT '',
    etag TEXT, modified TEXT, digest TEXT, captured TEXT,
    status INTEGER NOT NULL DEFAULT 0, result TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
    seen TEXT NOT NULL DEFAULT '', misses INTEGER NOT NULL DEFAULT 0, target TEXT, via TEXT
) WITHOUT ROWID;
CREATE INDEX waiting ON urls (round, state, host, tries, rank);
"""
_WAITING, _VISITING, _DONE, _OVER_BUDGET = range(4)

KNOWN = (
    *("url", "depth", "hops", "etag", "modified", "digest", "captured"),
    *("status", "result", "reason", "seen", "misses", "via"),
)
"""The state of one URL that is carried from partition to partition."""


class Frontier:
    """URLs waiting, being visited and done, in one SQLite file."""

    def __init__(self, path: Path, *, page_budget: int) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        # The file lives as long as the process: the journal on the store is what survives.
        self._db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
        self._page_budget = page_budget
        self._round = -1
        self._hosts: Counter[str] = Counter()
        """Waiting URLs of the current round by host."""
        self._busy: Counter[str] = Counter()

    def close(self) -> None:
        self._db.close()

    @property
    def visiting(self) -> int:
        return self._busy.total()

    @property
    def waiting(self) -> int:
        """URLs that the current round still has to visit."""
        return self._hosts.total()

    def know(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take over the state of the site from the partition before; called before anything is visited."""
        columns = ", ".join(KNOWN)
        marks = ", ".join(f":{name}" for name in KNOWN)
        self._db.execute("BEGIN")
        self._db.executemany(
            f"INSERT INTO urls ({columns}, host, kind, round, parent, position, before) "
            f"VALUES ({marks}, :host, 'page', 1, -1, 0, :seen)",
            ({"via": None, **row, "host": host_of(row["url"])} for row in rows),
        )
        self._db.execute("COMMIT")

    def seed(self, found: Iterable[Found]) -> None:
        """The URLs of round 0."""
        self._db.execute("BEGIN")
        for position, one in enumerate(found):
            self._add(one, round_=0, parent=-1, position=position)
        self._db.execute("COMMIT")

    def finish(self, outcome: Outcome, partition: str) -> None:
        """Record what became of a URL and what it leads to."""
        (state,) = self._db.execute("SELECT state FROM urls WHERE url = ?", (outcome.url,)).fetchone()
        self._db.execute("BEGIN")
        good = outcome.result in ("page", "unchanged")
        # An error says nothing about the page: what was known of it stays.
        keep = outcome.result == "error"
        self._db.execute(
            "UPDATE urls SET state = ?, status = ?, result = ?, reason = ?, seen = ?, "
            "misses = CASE WHEN ? THEN 0 ELSE misses + 1 END, target = ? WHERE url = ?",
            (
                _DONE,
                outcome.status,
                outcome.result,
                outcome.reason,
                partition,
                good,
                outcome.links[0] if outcome.result == "redirect" and outcome.links else None,
                outcome.url,
            ),
        )
        if not keep:
            self._db.execute(
                "UPDATE urls SET etag = ?, modified = ?, digest = ?, captured = ? WHERE url = ?",
                (outcome.etag, outcome.modified, outcome.digest, outcome.captured, outcome.url),
            )
        for position, one in enumerate(outcome.found()):
            self._add(one, round_=outcome.round + 1, parent=outcome.rank, position=position)
        self._db.execute("COMMIT")
        if state == _VISITING:
            self._leave(host_of(outcome.url))

    def retry(self, url: str) -> None:
        """Put a URL that is being visited back among the waiting, behind those not tried as often."""
        host = host_of(url)
        self._db.execute("UPDATE urls SET state = ?, tries = tries + 1 WHERE url = ?", (_WAITING, url))
        self._leave(host)
        self._hosts[host] += 1

    def next(self, per_host: int) -> Task | None:
        """A URL to visit now, of the host with the fewest visits going on; None if none may be started.

        A round ends when its last visit does; then the next one begins.
        """
        while not self._hosts:
            if self._busy or not self._begin_round():
                return None
        host = min(self._hosts, key=lambda name: (self._busy[name], name))
        if self._busy[host] >= per_host:
            return None
        row = self._db.execute(
            "SELECT url, kind, depth, round, rank, hops, etag, modified, digest, captured, via FROM urls "
            "WHERE round = ? AND state = ? AND host = ? ORDER BY tries, rank LIMIT 1",
            (self._round, _WAITING, host),
        ).fetchone()
        task = Task(*row)
        self._db.execute("UPDATE urls SET state = ? WHERE url = ?", (_VISITING, task.url))
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
        self._busy[host] += 1
        return task

    def more(self) -> bool:
        """Whether anything waits or is being visited, in this round or a later one."""
        return bool(self._hosts or self._busy) or self._next_round() is not None

    def awaits(self, url: str) -> bool:
        """Whether a URL is known and not yet visited."""
        row = self._db.execute("SELECT state FROM urls WHERE url = ?", (url,)).fetchone()
        return row is not None and row[0] != _DONE

    def knows(self, url: str) -> bool:
        """Whether a URL was ever found."""
        return self._db.execute("SELECT 1 FROM urls WHERE url = ?", (url,)).fetchone() is not None

    def end_of(self, url: str) -> tuple[str, str]:
        """(result, reason) of a URL's visit, or of the visit where its redirects ended."""
        passed: set[str] = set()
        result, reason = "", "not visited"
        while url not in passed:
            passed.add(url)
            row = self._db.execute(
                "SELECT result, reason, target FROM urls WHERE url = ? AND state = ?", (url, _DONE)
            ).fetchone()
            if row is None:
                return "", "not visited"
            result, reason, target = row
            if result != "redirect":
                break
            url = target
        return result, reason

    def counts(self) -> tuple[dict[str, Any], dict[str, int]]:
        """Counts of this crawl's visits, and its errors by reason."""
        results: Counter[str] = Counter()
        reasons: dict[str, Counter[str]] = {"skipped": Counter(), "error": Counter()}
        rows = self._db.execute(
            "SELECT result, reason, count(*) FROM urls WHERE state = ? AND kind = 'page' GROUP BY 1, 2", (_DONE,)
        )
        for result, reason, count in rows:
            results[result] += count
            if result in reasons:
                reasons[result][reason] += count
        (left,) = self._db.execute("SELECT count(*) FROM urls WHERE state != ?", (_DONE,)).fetchone()
        counts = {
            "documents": results["page"],
            "unchanged": results["unchanged"],
            "gone": results["gone"],
            "redirects": results["redirect"],
            "errors": results["error"],
            "visited": results.total(),
            "left": left,
            "skipped": dict(sorted(reasons["skipped"].items())),
        }
        return counts, dict(sorted(reasons["error"].items()))

    def known(self, *, forget: int) -> Iterator[dict[str, Any]]:
        """The state of the site for the next partition, in URL order.

        A URL that never was a page and failed ``forget`` partitions in a row is left out.
        """
        rows = self._db.execute(
            f"SELECT {', '.join(KNOWN)} FROM urls "
            "WHERE kind = 'page' AND (digest IS NOT NULL OR misses < ?) ORDER BY url",
            (forget,),
        )
        for row in rows:
            yield dict(zip(KNOWN, row, strict=True))

    def _add(self, found: Found, *, round_: int, parent: int, position: int) -> None:
        # A URL found again before its round began keeps the earlier round and the first place there, and with it
        # whoever showed it: which page that is does not depend on the order of answers either.
        earlier = "(excluded.round, excluded.parent, excluded.position) < (urls.round, urls.parent, urls.position)"
        self._db.execute(
            "INSERT INTO urls (url, host, kind, depth, hops, round, parent, position, via) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (url) DO UPDATE SET "
            f"(parent, position, via) = (SELECT CASE WHEN {earlier} THEN excluded.parent ELSE urls.parent END, "
            f"CASE WHEN {earlier} THEN excluded.position ELSE urls.position END, "
            f"CASE WHEN {earlier} THEN excluded.via ELSE urls.via END), "
            "depth = min(depth, excluded.depth), hops = min(hops, excluded.hops), round = min(round, excluded.round) "
            f"WHERE state = {_WAITING} AND rank IS NULL AND excluded.round <= round",
            (found.url, host_of(found.url), found.kind, found.depth, found.hops, round_, parent, position, found.via),
        )

    def _next_round(self) -> int | None:
        row = self._db.execute(
            "SELECT round FROM urls WHERE round > ? AND state = ? ORDER BY round LIMIT 1", (self._round, _WAITING)
        ).fetchone()
        return None if row is None else int(row[0])

    def _begin_round(self) -> bool:
        """Rank the next round that has something waiting; False if there is none."""
        found = self._next_round()
        if found is None:
            return False
        self._round = found
        # Visits of this round that an earlier attempt committed count, so that ranks are what they were.
        (before,) = self._db.execute(
            "SELECT count(*) FROM urls WHERE round < ? AND state = ?", (found, _DONE)
        ).fetchone()
        self._db.execute(
            "UPDATE urls SET rank = ranked.place FROM (SELECT url AS of, row_number() OVER "
            "(ORDER BY before, parent, position, url) AS place FROM urls WHERE round = ?) AS ranked "
            "WHERE urls.url = ranked.of",
            (found,),
        )
        self._db.execute(
            "UPDATE urls SET state = ? WHERE round = ? AND state = ? AND rank > ?",
            (_OVER_BUDGET, found, _WAITING, self._page_budget - before),
        )
        rows = self._db.execute(
            "SELECT host, count(*) FROM urls WHERE round = ? AND state = ? GROUP BY host", (found, _WAITING)
        )
        self._hosts = Counter(dict(rows))
        return True

    def _leave(self, host: str) -> None:
        self._busy[host] -= 1
        if not self._busy[host]:
            del self._busy[host]


def host_of(url: str) -> str:
    """What visits are counted by: the host name in lower case."""
    return (urlsplit(url).hostname or "").lower()
