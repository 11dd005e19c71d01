"""One gate: judge once, keep the verdict, quarantine what failed."""

from __future__ import annotations

import tempfile
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_contracts.base import SUITES, Subject, Suite
from data_contracts.engine.history import last_good
from tasks.catalog import Manifest, Release
from tasks.errors import GateFailed
from tasks.section import digest_of
from tasks.step import Context, Step, StepResult
from tasks.work import Read, Work


def gate_folder(corpus: str, stage: str, name: str) -> str:
    """Where the verdict on a partition or training lies."""
    return f"gates/{corpus}/{stage}/{name}"


def run_gate(context: Context, stage: str, name: str, at: datetime) -> StepResult:
    """Hold a stage's output against its suite. ``name`` is the partition or the training's id.

    The verdict on a manifest stands: the same manifest under the same thresholds is not judged again,
    so a later history does not overturn it. A release by hand lets a failed one pass.

    Raises:
        GateFailed: one line for every failed expectation; the manifest is quarantined.
        BadInput: there is nothing to judge yet.
        Corrupt: a file to judge is missing or altered.
    """
    suite = SUITES.get(stage)
    reads = suite.reads(context, name)
    step = Step(f"gate_{stage}", suite.version, ("great-expectations", "pandas"))
    config = digest_of({"thresholds": suite.config(context), "history": context.corpus.gates.history})
    work = Work(context, step, gate_folder(context.corpus.corpus, stage, name), name=name, config=config, reads=reads)
    result = work.done() or _judge(context, stage, suite, work, reads, at)
    verdict = context.catalog.current(work.folder)
    assert verdict is not None  # it was just committed, or found unchanged
    return _abide(context, stage, reads[0].manifest, verdict, result, work, at)


def _judge(context: Context, stage: str, suite: Suite, work: Work, reads: list[Read], at: datetime) -> StepResult:
    # The library takes seconds to import: only when there is something to judge.
    from data_contracts.engine.library import great_expectations
    from data_contracts.engine.page import page
    from data_contracts.engine.validate import validate

    great_expectations()
    history = last_good(context, stage, suite.compared, before=work.name) if suite.compared else {}
    with tempfile.TemporaryDirectory(prefix="nightshift-gate-") as scratch:
        rows = Path(scratch) / "rows"
        rows.mkdir()
        contract = suite.build(Subject(context, work.name, reads, history, rows))
        verdict = validate(stage, contract)
        failures = [each.line() for each in verdict.failures]
        if failures:
            # Before the verdict is kept: killed in between, the gate judges again and nothing has slipped through.
            context.catalog.quarantine.put(reads[0].manifest, stage=stage, failures=failures, at=_iso(at))
        docs = Path(scratch) / "docs.html"
        title = f"gate {stage} of {context.corpus.corpus} {work.name}"
        docs.write_text(page(title, context.catalog.url(reads[0].folder), contract, verdict, history), encoding="utf-8")
        said = f"; not checked: {'; '.join(contract.skipped)}" if contract.skipped else ""
        return work.commit(
            [work.add("docs", docs)],
            counts={
                "expectations": len(verdict.outcomes),
                "failed": len(failures),
                "skipped": len(contract.skipped),
            },
            details={
                "passed": not failures,
                "failures": failures,
                "skipped": contract.skipped,
                "metrics": _finite(contract.metrics),
                "compared_with": history,
                "released": None,
            },
            volatile={"at": _iso(at), "great_expectations": version("great-expectations")},
            message=f"{len(verdict.outcomes)} expectations hold{said}",
        )


def _abide(
    context: Context, stage: str, on_trial: Manifest, verdict: Manifest, result: StepResult, work: Work, at: datetime
) -> StepResult:
    """What follows from a verdict, new or found: quarantine, or the end of one."""
    quarantine, failures = context.catalog.quarantine, verdict.details["failures"]
    if not failures:
        # It may have failed before, under other thresholds.
        quarantine.lift(on_trial, stage=stage)
        return result
    record = quarantine.find(on_trial)
    if record is not None and record.released is not None:
        return _released(context, verdict, record.released, result, work)
    if record is None:
        quarantine.put(on_trial, stage=stage, failures=failures, at=_iso(at))
    raise _failed(context, stage, on_trial, verdict)


def _released(context: Context, verdict: Manifest, release: Release, result: StepResult, work: Work) -> StepResult:
    kept = {**verdict.details, "passed": True, "released": release.model_dump()}
    if verdict.details != kept:
        context.catalog.commit(work.folder, verdict.model_copy(update={"details": kept}))
    return StepResult(
        step=result.step,
        corpus=result.corpus,
        partition=result.partition,
        manifest=result.manifest,
        noop=result.noop,
        counts=result.counts,
        message=f"passed by release of {release.by} at {release.at}: {release.reason} "
        f"({len(verdict.details['failures'])} expectation(s) failed)",
    )


def _failed(context: Context, stage: str, manifest: Manifest, verdict: Manifest) -> GateFailed:
    corpus, failures = context.corpus.corpus, verdict.details["failures"]
    lines = "\n".join(f"  {each}" for each in failures)
    docs = "".join(f"\n  Data Docs: {context.store.url_of(entry.key)}" for entry in verdict.of_role("docs"))
    return GateFailed(
        f"gate {stage} of {corpus} {manifest.partition}: {len(failures)} of {verdict.counts['expectations']} "
        f"expectations failed; quarantined, nothing downstream reads it.\n{lines}{docs}\n"
        f"  What to do: docs/gates.md. If it is right after all: nightshift release --corpus {corpus} "
        f"--partition {manifest.partition} --stage {stage} --reason '…', then run the gate again."
    )


def _finite(metrics: dict[str, float]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {name: value if value == value else None for name, value in metrics.items()}


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
