"""The statistics of a partition, and their trend over all partitions, as HTML pages with everything inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.reports import charts
from tasks.reports.colours import CHAMPION, TEST
from tasks.reports.statistics import NGRAM
from tasks.reports.trend import Day

DAYS = 60
"""So many newest partitions a trend shows."""
_REASONS = 6


def partition_page(corpus: str, partition: str, numbers: Mapping[str, Any], counts: Mapping[str, Any]) -> str:
    """The page of one partition; ``counts`` are those of its manifest (documents seen, kept, rejected by reason)."""
    rejected = sorted(counts["rejected"].items(), key=lambda pair: (-pair[1], pair[0]))
    refused = sum(counts["rejected"].values())
    charted = {
        "lengths": charts.lengths(numbers["lengths"]),
        "languages": charts.bars(numbers["languages"], numbers["documents"]),
        "domains": charts.bars(numbers["domains"], numbers["documents"], TEST),
        "rejected": charts.bars(rejected, refused, CHAMPION),
        "labels": charts.bars(numbers["labels"], numbers["documents"]) if len(numbers["labels"]) > 1 else None,
    }
    return _render(
        "partition.html.j2",
        corpus=corpus,
        partition=partition,
        numbers=numbers,
        counts=counts,
        charts=charted,
        ngram=NGRAM,
        refused=refused,
    )


def trend_page(corpus: str, days: Mapping[str, Day]) -> str:
    """The page over partitions."""
    shown = sorted(days)[-DAYS:]
    told = [days[day] for day in shown]
    reasons: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    for each in told:
        reasons.update(each.rejected)
        languages.update(dict(each.languages))
    charted = {
        "documents": charts.lines(
            shown, {"seen": [each.seen for each in told], "kept": [each.documents for each in told]}, "documents"
        ),
        "tokens": charts.lines(shown, {"tokens": [each.tokens for each in told]}, "tokens, about"),
        "lengths": charts.lines(
            shown,
            {name: [getattr(each.length, name) for each in told] for name in ("p10", "p50", "p90")},
            "characters",
            logarithmic=True,
        ),
        "rejected": charts.stacked(
            shown,
            _shares([each.rejected for each in told], reasons, [each.seen for each in told]),
            "share of what was seen",
        ),
        "languages": charts.stacked(
            shown,
            _shares([dict(each.languages) for each in told], languages, [each.documents for each in told]),
            "share of documents",
        ),
    }
    return _render("trend.html.j2", corpus=corpus, days=shown, told=dict(zip(shown, told, strict=True)), charts=charted)


def _shares(days: Sequence[Mapping[str, int]], totals: Counter[str], of: Sequence[int]) -> dict[str, list[float]]:
    """The share of each frequent name day by day, the rest together."""
    names = [name for name, _ in sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))[:_REASONS]]
    found = {name or "(none)": [d.get(name, 0) / max(n, 1) for d, n in zip(days, of, strict=True)] for name in names}
    if len(totals) > len(names):
        rest = [sum(c for name, c in day.items() if name not in names) for day in days]
        found["(other)"] = [count / max(n, 1) for count, n in zip(rest, of, strict=True)]
    return found


def _render(template: str, **values: Any) -> str:
    import jinja2

    # Domains and n-grams come from the web: everything is escaped, and nothing becomes a link.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": lambda value: "\N{EN DASH}" if value is None else f"{value:,}",
        "percent": "{:.1%}".format,
    }
    return environment.get_template(template).render(**values)
