"""What a run of the chain came to, read from the store: nothing here is assumed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from tasks.backups.vault import Vault
from tasks.catalog import Catalog
from tasks.judging.base import headline, said
from tasks.model_registry import Registry
from tasks.model_registry.state import REJECTED

STAGES = ("raw", "clean", "splits", "features", "model")


def summarise(
    catalog: Catalog, vault: Vault, corpus: str, partition: str, *, settled: str | None = None
) -> dict[str, Any]:
    """The summary of a corpus after a partition: documents, gates, champion, backup, where things lie.

    The backup counts as verified when it is read from the second store now, to its last byte. ``settled`` is why
    nothing was trained, if so.

    Raises:
        Corrupt: the champion or its backup is damaged; names what.
    """
    registry = Registry(catalog, corpus)
    champion = registry.champion()
    # Of a champion of other data the verdicts would look like those of these.
    judged = champion.run if champion and not (settled or "").startswith(REJECTED) else None
    clean = catalog.current(f"clean/{corpus}/{partition}")
    summary: dict[str, Any] = {
        "corpus": corpus,
        "partition": partition,
        "documents": {
            "in": clean.counts["documents"] if clean else 0,
            "kept": clean.counts["kept"] if clean else 0,
            "rejected": clean.counts["rejected"] if clean else {},
            "unchanged": clean.counts["unchanged"] if clean else 0,
        },
        "gates": _gates(catalog, corpus, partition, judged),
        "settled": settled,
        "champion": None,
        "backup": {"verified": False},
    }
    if champion is not None:
        registry.model(champion)
        previous = registry.audits()[-1].metrics_before
        summary["champion"] = {
            "version": champion.version,
            "run": champion.run,
            "metrics": {split: _headline(values) for split, values in champion.metrics.items()},
            "previous_metrics": {s: _headline(v) for s, v in previous.items()} if previous else None,
            "model": catalog.url(champion.folder),
        }
        report = catalog.at(champion.report, champion.report_digest)
        summary["report"] = [catalog.store.url_of(entry.key) for entry in report.of_role("report")]
        summary["backup"] = _backup(vault, registry, champion.version)
    return summary


def shortfall(summary: dict[str, Any]) -> str | None:
    """What is missing to a promoted champion of these data with a verified backup, or None.

    A champion may be an earlier one: the model of these data is what counts, also when it was rejected before this run.
    """
    settled = summary["settled"] or ""
    if settled.startswith(REJECTED):
        return f"No champion was promoted: the model of these data was {settled}."
    if summary["champion"] is None:
        return "No champion was promoted."
    return None if summary["backup"]["verified"] else "The champion's backup is not verified."


def _backup(vault: Vault, registry: Registry, version: int) -> dict[str, Any]:
    backed = registry.backed(version)
    backup = vault.backup(vault.catalog.folder(backed.url)) if backed else None
    if backed is None or backup is None:
        return {"verified": False}
    vault.verify(backup)
    return {**backed.model_dump(), "verified": backed.verified}


def show(console: Console, summary: dict[str, Any]) -> None:
    """Print the summary for a person."""
    console.rule(f"{summary['corpus']} {summary['partition']}")
    if console.is_terminal:
        table = Table(box=None, show_header=False, padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in _told(summary):
            table.add_row(name, value)
        console.print(table)
    else:  # an address folded into two lines is found by no search of a log
        for name, value in _told(summary):
            lines = value.replace("\n", f"\n{'':17}")
            console.print(f"  {name:<15}{lines}", markup=False, soft_wrap=True)


def _told(summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is said, by what it is about."""
    documents, champion, backup = summary["documents"], summary["champion"], summary["backup"]
    rejected = ", ".join(f"{count} {reason}" for reason, count in sorted(documents["rejected"].items(), key=_by_count))
    yield "documents", f"{documents['in']} in, {documents['kept']} kept, {documents['unchanged']} unchanged"
    yield "rejected", rejected or "none"
    for stage, verdict in summary["gates"].items():
        passed = "passed" if verdict["passed"] else "FAILED"
        yield f"gate {stage}", f"{passed}, {verdict['expectations']} expectations, {verdict['skipped']} skipped"
    if champion:
        for split, metrics in champion["metrics"].items():
            before = (champion["previous_metrics"] or {}).get(split)
            was = f" (champion before: {said(before, 3)})" if before else ""
            yield split, f"{said(metrics, 3)}{was}"
        yield "champion", f"version {champion['version']}: {champion['model']}"
        yield "report", "\n".join([*summary["report"], *filter(None, [summary.get("report_copy")])])
    else:
        yield "champion", "none was promoted"
    if backup["verified"]:
        yield "backup", f"{backup['url']}: {backup['files']} files, {backup['bytes']:,} bytes, verified"
    else:
        yield "backup", "not verified"
    if "web_ui" in summary:
        yield "web UI", summary["web_ui"]


def _gates(catalog: Catalog, corpus: str, partition: str, run: str | None) -> dict[str, Any]:
    found = {}
    for stage in STAGES:
        name = run if stage in ("features", "model") else partition
        verdict = catalog.current(f"gates/{corpus}/{stage}/{name}") if name else None
        if verdict is not None:
            found[stage] = {"passed": verdict.details["passed"], **verdict.counts}
    return found


def _headline(metrics: dict[str, Any]) -> dict[str, Any]:
    return {**headline(metrics), "rows": metrics["rows"]}


def _by_count(item: tuple[str, int]) -> int:
    return -item[1]
