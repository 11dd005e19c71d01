"""Every expectation of every suite: data that it must fail, named in the failure, and data that passes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data_contracts.base import SUITES
from tasks.config import Corpus
from tasks.errors import GateFailed
from tasks.step import Context
from tests.gated import DAY, DOCUMENTS, Gated, document, documents, judge, name_of, scores, verdict

BEFORE = "2026-11-19"
GOOD_F1 = {"csv": 0.9, "json": 0.9}
NAN = float("nan")


@dataclass(frozen=True)
class Case:
    """One way to break a gate: ``commit`` writes the input, the failure must name ``fails``."""

    stage: str
    fails: str
    commit: Callable[[Gated], object]
    shows: str = ""
    """A pattern in the failure's line: what was observed, and expected."""
    gates: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, Any] = field(default_factory=dict)
    before: Callable[[Gated], object] | None = None
    """Writes the partition of the day before, which passes its gate first."""

    def __str__(self) -> str:
        return f"{self.stage}-{self.fails}"


def split_of(rows: list[Any]) -> dict[str, list[Any]]:
    return {"train": rows[:32], "validation": rows[32:36], "test": rows[36:]}


def clean_and_staged(clean: list[Any] | None = None, **splits: list[Any]) -> Callable[[Gated], object]:
    rows = documents()
    return lambda given: (given.clean(clean or rows), given.staging(**{**split_of(rows), **splits}))


def with_deletions(given: Gated) -> None:
    clean = given.clean(documents())
    folder = f"clean/docs/{DAY}"
    given.recommit(clean, folder, files=(*clean.files, given.deletions(folder, 3)))
    given.staging(**split_of(documents()), deletions=2)


def staged_without_digest(given: Gated) -> None:
    given.clean(documents())
    staged = given.staging(train=documents()[:20])
    folder, narrow = f"staging/docs/{DAY}", pa.Table.from_pylist(documents()[20:], schema=DOCUMENTS)
    given.recommit(staged, folder, files=(*staged.files, given.file(folder, "test", narrow.drop_columns(["digest"]))))


def with_rejects(given: Gated) -> None:
    clean, folder = given.clean(documents(), rejected=3), f"clean/docs/{DAY}"
    given.recommit(clean, folder, files=(*clean.files, given.rejects(folder, 3)))
    staged, folder = given.staging(**split_of(documents())), f"staging/docs/{DAY}"
    given.recommit(staged, folder, files=(*staged.files, given.rejects(folder, 1, role="rejected")))


def mixed(count: int, **changed: Any) -> list[Any]:
    """Forty documents, the first so many of them changed."""
    return [document(i, **changed) if i < count else document(i) for i in range(40)]


def without(column: str) -> Callable[[Gated], object]:
    table = pa.Table.from_pylist(documents(), schema=DOCUMENTS).drop_columns([column])
    return lambda given: given.clean([], table=table)


def of_type(column: str, kind: pa.DataType) -> Callable[[Gated], object]:
    table = pa.Table.from_pylist(documents(), schema=DOCUMENTS)
    place = table.schema.get_field_index(column)
    return lambda given: given.clean([], table=table.set_column(place, column, pa.nulls(40, kind)))


def counted(**counts: Any) -> Callable[[Gated], object]:
    return lambda given: given.clean(documents(), **counts)


CASES = [
    # raw
    *(
        Case("raw", "counts", lambda g, n=name: g.raw(**{n: None}), shows=rf"observed no {name}")
        for name in ("documents", "unchanged", "gone", "visited", "errors", "bytes")
    ),
    *(
        Case("raw", name, lambda g, n=name: g.raw(**{n: -1}), shows=r"observed -1; expected at least 0")
        for name in ("documents", "unchanged", "gone", "visited", "errors", "bytes")
    ),
    Case(
        "raw",
        "documents_there",
        lambda g: g.raw(documents=5, unchanged=4),
        shows=r"observed 9; expected at least 10",
        gates={"raw": {"min_documents": 10}},
    ),
    Case("raw", "documents_there", lambda g: g.raw(documents=0, unchanged=0, gone=7), shows="observed 0;"),
    Case("raw", "error_share", lambda g: g.raw(visited=100, errors=21), shows=r"observed 0.21; expected at most 0.2"),
    Case(
        "raw",
        "visited_of_usual",
        lambda g: g.raw(visited=49, errors=0),
        shows=r"observed 0.49; expected at least 0.5",
        before=lambda g: g.raw(BEFORE, visited=100),
    ),
    # clean
    *(
        Case("clean", "columns", without(name), shows=rf"column|{name}")
        for name in ("uid", "url", "text", "label", "language", "length", "digest", "group")
    ),
    Case(
        "clean",
        "columns",
        of_type("length", pa.string()),
        shows=r"1 of 10 rows, such as type string, column length of clean/docs/.*parquet, expected int64",
    ),
    Case("clean", "unaccounted", counted(documents=43), shows=r"observed 3; expected 0"),
    Case("clean", "unaccounted", counted(documents=38), shows=r"observed -2; expected 0"),
    Case("clean", "kept_or_unchanged", lambda g: g.clean([]), shows=r"observed 0; expected at least 1"),
    Case(
        "clean",
        "kept_or_unchanged",
        lambda g: g.clean(documents(), unchanged=9),
        shows=r"observed 49; expected at least 50",
        gates={"clean": {"min_rows": 50}},
    ),
    Case(
        "clean", "reject_rate", lambda g: g.clean(documents(), rejected=161), shows=r"observed 0.80\d+; .* at most 0.8"
    ),
    Case(
        "clean",
        "reject_rise",
        lambda g: g.clean(documents(), rejected=40),
        shows=r"observed 0.5; expected at most 0.3.*the 0\.0% of the last good nights",
        before=lambda g: g.clean(documents(), BEFORE),
    ),
    Case("clean", "rows", counted(kept=41, documents=41), shows=r"observed 40; expected 41"),
    Case(
        "clean", "unlabelled_share", lambda g: g.clean(mixed(4, label=None)), shows=r"observed 0.1; expected at most 0"
    ),
    Case(
        "clean",
        "largest_label_share",
        lambda g: g.clean(mixed(40, label="csv")),
        shows=r"observed 1; expected at most 0.9",
        gates={"clean": {"max_label_share": 0.9}},
    ),
    Case(
        "clean",
        "share_en",
        lambda g: g.clean(mixed(20, language="de")),
        shows=r"observed 0.5; expected at least 0.6",
        gates={"clean": {"min_language_share": {"en": 0.6}}},
    ),
    Case(
        "clean",
        "share_fr",
        lambda g: g.clean(documents()),
        shows=r"observed 0; expected at least 0.1",
        gates={"clean": {"min_language_share": {"fr": 0.1}}},
    ),
    Case("clean", "uid_there", lambda g: g.clean(mixed(1, uid=None)), shows="observed 1 of 40 rows"),
    Case("clean", "language_there", lambda g: g.clean(mixed(2, language=None)), shows="observed 2 of 40 rows"),
    Case("clean", "length_there", lambda g: g.clean(mixed(3, length=None)), shows="observed 3 of 40 rows"),
    Case("clean", "url_there", lambda g: g.clean(mixed(1, url=None)), shows="observed 1 of 40 rows"),
    Case("clean", "digest_there", lambda g: g.clean(mixed(1, digest=None)), shows="observed 1 of 40 rows"),
    Case("clean", "uid_form", lambda g: g.clean(mixed(1, uid="XYZ")), shows=r"1 of 40 rows, such as uid XYZ;"),
    Case("clean", "uid_once", lambda g: g.clean(mixed(2, uid="ab" * 16)), shows=r"2 of 40 rows, such as uid (ab){16};"),
    Case(
        "clean", "url_once", lambda g: g.clean(mixed(2, url="http://site/")), shows=r"such as url http://site/, uid \w"
    ),
    Case("clean", "digest_once", lambda g: g.clean(mixed(2, digest="d")), shows=r"such as digest d, uid \w"),
    Case(
        "clean", "length", lambda g: g.clean(mixed(1, length=0)), shows=r"such as length 0, uid .*; expected at least 1"
    ),
    Case(
        "clean",
        "label_known",
        lambda g: g.clean(mixed(1, label="perl")),
        shows=r"such as label perl, uid .*; expected one of csv, json",
        gates={"clean": {"labels": ["csv", "json"]}},
    ),
    Case(
        "clean",
        "language_known",
        lambda g: g.clean(mixed(1, language="la")),
        shows=r"such as language la, uid .*; expected one of en",
        gates={"clean": {"languages": ["en"]}},
    ),
    # splits
    Case("splits", "split_known", clean_and_staged(holdout=documents()[:1]), shows=r"role holdout"),
    Case(
        "splits",
        "split_known",
        clean_and_staged(),
        shows=r"3 of 3 rows, such as role train.*expected one of unassigned, deletions",
        sections={"split": {"strategy": "time"}},
    ),
    Case(
        "splits",
        "split_known",
        lambda g: (g.clean(documents()), g.staging(unassigned=documents())),
        shows=r"role unassigned.*expected one of train, validation, test, deletions",
    ),
    Case(
        "splits",
        "columns",
        staged_without_digest,
        shows=r"1 of 6 rows, such as type missing, column digest of staging/docs/",
    ),
    Case(
        "splits", "one_split", clean_and_staged(test=documents()[35:]), shows=r"1 of 40 rows, such as splits 2, uid \w"
    ),
    Case("splits", "present_once", clean_and_staged(test=documents()[37:]), shows=r"such as times_split 0, uid \w"),
    Case(
        "splits",
        "present_once",
        clean_and_staged(test=[*documents()[36:], *documents()[36:37]]),
        shows=r"such as times_split 2, uid \w",
    ),
    Case("splits", "clean_before", clean_and_staged(clean=documents()[1:]), shows=r"such as times_clean 0, uid \w"),
    Case(
        "splits",
        "text_in_one_split",
        clean_and_staged(test=[document(i, digest=document(0)["digest"]) for i in range(36, 37)] + documents()[37:]),
        shows=r"such as splits 2, digest \w",
    ),
    Case("splits", "deletions_lost", with_deletions, shows=r"observed 1; expected 0"),
    Case("splits", "rejects_lost", with_rejects, shows=r"observed 2; expected 0"),
    *(
        Case(
            "splits",
            f"{name}_share",
            clean_and_staged(**splits),
            shows=r"observed .*; expected ",
            gates={"splits": {"tolerance_from": 10}},
        )
        for name, splits in {
            "train": {"train": documents()[:20], "test": documents()[20:32] + documents()[36:]},
            "validation": {"train": documents()[:20], "validation": documents()[20:36]},
            "test": {"train": documents()[:20], "test": documents()[20:32] + documents()[36:]},
        }.items()
    ),
    # features
    Case(
        "features", "train_rows", lambda g: g.features(labels={"csv": 5, "json": 4}), shows="observed 9; .* at least 10"
    ),
    Case(
        "features",
        "validation_rows",
        lambda g: g.features(labels={"csv": 9, "json": 9}, validation=0),
        shows="observed 0",
    ),
    Case("features", "labels", lambda g: g.features(labels={"csv": 20}), shows="observed 1; expected at least 2"),
    Case(
        "features",
        "largest_label_share",
        lambda g: g.features(labels={"csv": 96, "json": 4}),
        shows="observed 0.96; expected at most 0.95",
    ),
    Case(
        "features", "vocabulary", lambda g: g.features(labels={"csv": 9, "json": 9}, vocabulary=9), shows="observed 9;"
    ),
    # model
    *(
        Case(
            "model",
            name,
            lambda g, n=name: g.model(scores(GOOD_F1, **{n: 0.59})),
            shows="observed 0.59; expected 0.6 to 1",
            gates={"model": {"floors": {name: 0.6}}},
        )
        for name in ("accuracy", "macro_f1")
    ),
    *(
        Case("model", name, lambda g, n=name, v=value: g.model(scores(GOOD_F1, **{n: v})), shows="observed no number;")
        for name in ("accuracy", "macro_f1")
        for value in (None, NAN)
    ),
    Case(
        "model", "classes_recognised", lambda g: g.model(scores({"csv": 0.66, "json": 0.0})), shows="observed 1; .* 2"
    ),
    Case(
        "model", "f1_there", lambda g: g.model(scores({"csv": 0.9, "json": None})), shows=r"1 of 2 rows, .*label json"
    ),
    *(
        Case(
            "model",
            f"{name}_below_champion",
            lambda g, n=name: g.model(scores(GOOD_F1, **{n: 0.87}), scores(GOOD_F1)),
            shows=r"observed 0.03; expected at most 0.01.*champion 3",
        )
        for name in ("accuracy", "macro_f1")
    ),
    Case(
        "model",
        "folds_macro_f1",
        lambda g: g.model(scores(GOOD_F1), folds=[0.5, 0.6]),
        shows="observed 0.55; expected at least 0.6",
        gates={"model": {"fold_floors": {"macro_f1": 0.6}}},
    ),
    Case(
        "model",
        "folds_deviation",
        lambda g: g.model(scores(GOOD_F1), folds=[0.6, 0.7, 0.8]),
        shows="observed 0.1; expected at most 0.05",
        gates={"model": {"max_fold_deviation": 0.05}},
    ),
    Case(
        "model",
        "class_below_champion",
        lambda g: g.model(scores({"csv": 1.0, "json": 0.75}), scores({"csv": 0.8, "json": 0.9})),
        shows=r"1 of 2 rows, such as f1_below_champion 0.15, label json; expected at most 0.1",
    ),
]

GOOD: dict[str, Callable[[Gated], object]] = {
    "raw": lambda g: g.raw(),
    "clean": lambda g: g.clean(documents(), rejected=10),
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
        before = {"raw": lambda: given.raw(BEFORE), "clean": lambda: given.clean(documents(), BEFORE)}
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
