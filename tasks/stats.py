"""What a cleaned partition is made of: numbers for the gates, a page for people, a trend over all days."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.catalog import Input, Manifest, fingerprint
from tasks.command import step_command
from tasks.errors import BadInput
from tasks.step import Context, Step, StepResult

STEP = Step(name="stats", version=2, libraries=("pyarrow", "numpy", "jinja2"))


@step_command("stats")
def command(context: Context, partition: str) -> StepResult:
    """Count what a cleaned day is made of, and draw it.

    Documents, bytes, tokens, lengths, languages, domains, rejects by reason and the words that documents share:
    in the manifest as numbers, beside it as one HTML page; and `trend.html` over all days that were counted.
    """
    return stats(context, partition)


def stats(context: Context, partition: str) -> StepResult:
    """Make ``stats/<corpus>/<partition>`` of the cleaned partition, and ``stats/<corpus>/trend.html`` anew.

    A partition that gate clean rejected is counted too: that is when people look, and the gate may judge it again.
    One that cannot be counted, since it lacks a column, is no failure and commits nothing: what is wrong with a
    partition is for the gate to say, which then compares nothing. ``counts`` are empty.

    Raises:
        BadInput: the partition is not united yet.
        Corrupt: one of its files is missing or altered.
    """
    corpus, catalog = context.corpus.corpus, context.catalog
    source = f"clean/{corpus}/{partition}"
    cleaned = catalog.current(source)
    if cleaned is None:
        raise BadInput(
            f"nothing at {catalog.url(source)}: run `nightshift dedup --corpus {corpus} --partition {partition}` first"
        )
    inputs = (Input(name=source, digest=cleaned.digest()),)
    folder = f"stats/{corpus}/{partition}"
    mark = fingerprint(STEP.code(), "", inputs)
    if done := catalog.unchanged(folder, mark):
        return StepResult("stats", corpus, catalog.url(folder), partition, True, done.counts)

    from tasks.reports.sheets import partition_page
    from tasks.reports.statistics import Uncountable, measure

    with tempfile.TemporaryDirectory(prefix="nightshift-stats-") as scratch:
        local = [
            catalog.fetch(entry, Path(scratch) / str(number) / Path(entry.key).name)
            for number, entry in enumerate(cleaned.of_role("documents"))
        ]
        try:
            numbers = measure(local)
        except Uncountable as reason:
            context.log.warning("not counted: gate clean will judge without statistics", why=str(reason))
            said = f"not counted, gate clean will judge: {reason}"
            return StepResult("stats", corpus, catalog.url(source), partition, message=said)
        page = Path(scratch) / "statistics.html"
        page.write_text(partition_page(corpus, partition, numbers, cleaned.counts), encoding="utf-8")
        sha256 = hashlib.sha256(page.read_bytes()).hexdigest()
        entry = catalog.add_file(folder, "statistics", page, sha256)
    details = {**numbers, "seen": cleaned.counts["documents"], "rejected": cleaned.counts["rejected"]}
    # Before the commit: killed in between, it is drawn again.
    trend_url = _trend(context, partition, details)
    counts = {name: numbers[name] for name in ("documents", "bytes", "words", "tokens")}
    manifest = Manifest(
        step="stats",
        corpus=corpus,
        partition=partition,
        fingerprint=mark,
        code=STEP.code(),
        config="",
        inputs=inputs,
        files=(entry,),
        counts=counts,
        details=details,
    )
    url = catalog.commit(folder, manifest)
    page_url = context.store.url_of(entry.key)
    context.log.info("counted", **counts, page=page_url, trend=trend_url)
    return StepResult("stats", corpus, url, partition, counts=counts, message=f"{page_url}; all days: {trend_url}")


def _trend(context: Context, partition: str, details: Mapping[str, Any]) -> str:
    """Draw the trend up to the newest partitions anew; no manifest commits it, for it is made of what they say."""
    from tasks.reports.sheets import DAYS, trend_page
    from tasks.reports.trend import counted_days

    corpus = context.corpus.corpus
    days = counted_days(context, partition, details, most=DAYS)
    key = f"stats/{corpus}/trend.html"
    context.store.write(key, trend_page(corpus, days).encode())
    return context.store.url_of(key)
