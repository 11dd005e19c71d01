"""Every expectation of every suite: data that it must fail, named in the failure, and data that passes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data_contracts.base import SUITES
from tasks.config import Corpus
from tasks.errors import GateFailed
from tasks.step import Context
from tests.gate_cases import BEFORE, GOOD_F1, Case, clean, features, model, raw, splits
from tests.gate_cases.splits import clean_and_staged
from tests.gated import Gated, documents, judge, name_of, scores, verdict

CASES = [*raw.CASES, *clean.CASES, *splits.CASES, *features.CASES, *model.CASES]

GOOD: dict[str, Callable[[Gated], object]] = {
    "raw": lambda g: g.raw(),
    "clean": lambda g: g.counted(documents(), rejected=10),
    "splits": clean_and_staged(),
    "features": lambda g: g.features(labels={"csv": 50, "json": 50}),
    "model": lambda g: g.model(scores(GOOD_F1), scores({"csv": 0.91, "json": 0.89})),
}
"""Input that passes, under every threshold that any case sets."""

STRICT = {
    "raw": {"min_documents": 10},
    "clean": {
        "labels": ["csv", "json"],
        "languages": ["en"],
        "max_label_share": 0.9,
        "min_language_share": {"en": 0.6},
        "usual_documents": 10,
        "usual_nights": 1,
    },
    "splits": {"tolerance_from": 10},
    "model": {"floors": {"accuracy": 0.6, "macro_f1": 0.6}},
}


@pytest.fixture
def gated(
    make_corpus: Callable[..., Corpus], make_context: Callable[..., Context], tmp_path: Path
) -> Callable[..., Gated]:
    """``gated(gates={…}, …)``: a builder over a corpus with these sections."""

    def build(**sections: Any) -> Gated:
        return Gated(make_context(corpus=make_corpus(**sections)), tmp_path)

    return build


@pytest.mark.parametrize("case", CASES, ids=str)
def test_data_that_breaks_an_expectation_fails_the_gate_by_name(case: Case, gated: Callable[..., Gated]) -> None:
    given = gated(gates=case.gates, **case.sections)
    if case.before:
        case.before(given)
        judge(given, case.stage, BEFORE)
    case.commit(given)
    with pytest.raises(GateFailed) as failure:
        judge(given, case.stage)
    lines = verdict(given, case.stage)["failures"]
    named = [line for line in lines if line.startswith(f"{case.fails} [")]
    assert len(named) == 1, lines
    assert re.search(case.shows, named[0]), named[0]
    assert f"  {named[0]}\n" in str(failure.value)


@pytest.mark.parametrize("stage", SUITES.names())
def test_good_data_passes_every_expectation(stage: str, gated: Callable[..., Gated]) -> None:
    given = gated(gates=STRICT)
    if stage in ("raw", "clean"):
        before = {"raw": lambda: given.raw(BEFORE), "clean": lambda: given.counted(documents(), BEFORE)}
        before[stage]()
        judge(given, stage, BEFORE)
    GOOD[stage](given)
    details = judge(given, stage)
    assert details["passed"] and details["failures"] == [] and details["skipped"] == []


def test_every_expectation_has_data_that_breaks_it(gated: Callable[..., Gated]) -> None:
    """So a new expectation without a case fails here."""
    from data_contracts.base import Subject

    broken = {(case.stage, case.fails) for case in CASES}
    for stage, commit in GOOD.items():
        given = gated(gates=STRICT)
        commit(given)
        suite = SUITES.get(stage)
        history = {BEFORE: 0.1} if suite.compared else {}
        scratch = given.scratch / stage
        scratch.mkdir()
        reads = suite.reads(given.context, name_of(stage))
        contract = suite.build(Subject(given.context, name_of(stage), reads, history, scratch))
        names = {(stage, each.meta["name"]) for table in contract.tables for each in table.expectations}
        assert names <= broken, names - broken
        assert all(each.notes for table in contract.tables for each in table.expectations)
