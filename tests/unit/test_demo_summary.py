"""What the demo says at its end, and whether it has done its job."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from containers.embedded.demo import _shown
from containers.embedded.summary import shortfall, show, summarise
from tasks.backup import backup
from tasks.backups.vault import Vault
from tasks.config import Corpus
from tasks.model_registry import settled
from tasks.step import Context
from tasks.store import open_store
from tasks.training import Training
from tests.champions import NOW, candidate, crowned, keyword_corpus


@pytest.fixture
def context(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]) -> Context:
    return make_context(keyword_corpus(make_corpus))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(open_store(f"file://{tmp_path}/backup", {}), "docs")


def test_only_a_verified_champion_of_these_data_is_enough(context: Context, vault: Vault) -> None:
    def fault(training: Training) -> str | None:
        reason = settled(context.catalog, "docs", training.run)
        return shortfall(summarise(context.catalog, vault, "docs", "2026-11-20", settled=reason))

    rejected = candidate(context, seed=1, passed=False)
    assert str(fault(rejected)).startswith(
        "No champion was promoted: the model of these data was rejected by gate model"
    )
    champion = crowned(context)
    assert fault(champion) == "The champion's backup is not verified."
    backup(context, vault, at=NOW)
    assert fault(champion) is None
    # An older champion is in use, and intact: that says nothing of the model of today.
    assert "rejected by gate model: accuracy: observed 0.1" in str(fault(rejected))


def test_a_champion_of_other_data_lends_no_verdicts_to_a_rejected_model(context: Context, vault: Vault) -> None:
    training = crowned(context)
    reason = "rejected by gate model: accuracy: observed 0.1"
    told = summarise(context.catalog, vault, "docs", "2026-11-20", settled=reason)
    assert (told["champion"]["run"], told["gates"]) == (training.run, {})


def test_without_any_champion_that_is_what_is_missing(context: Context, vault: Vault) -> None:
    assert shortfall(summarise(context.catalog, vault, "docs", "2026-11-20")) == "No champion was promoted."


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (
            {"predicted": "ham", "confidence": 0.75, "probabilities": {"ham": 0.75, "spam": 0.25}},
            "ham, with confidence 0.75",
        ),
        ({"predicted": 152.25}, "predicted 152.2"),
        ({"predicted": "cluster 1", "confidence": 1.0, "distance": 2.5}, "cluster 1, with confidence 1.00"),
        ({"user": "a.module", "known": False, "items": ["numpy"], "scores": [0.5]}, "user a.module, known False"),
        ({"summary": "It is late.", "places": [0], "probabilities": [0.9]}, "summary It is late., places [0]"),
        ({"perplexity": 123.4567, "words": 12}, "perplexity 123.5, words 12"),
    ],
    ids=["a class", "a number", "a cluster", "recommendations", "a summary", "perplexity"],
)
def test_what_any_kind_of_champion_says_of_a_file_is_shown_in_a_line(row: dict[str, Any], shown: str) -> None:
    assert _shown({"uid": "1", "url": "file:///x", **row}).startswith(shown)


def shown(summary: dict[str, Any]) -> list[str]:
    """The lines of a summary as they stand in a file, without the spaces that align them."""
    out = io.StringIO()
    show(Console(file=out, width=80), summary)
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_a_person_is_told_where_the_model_the_report_the_backup_and_the_web_ui_are(
    context: Context, vault: Vault
) -> None:
    training = crowned(context)
    backup(context, vault, at=NOW)
    summary = summarise(context.catalog, vault, "docs", "2026-11-20") | {
        "report": ["s3://nightshift/reports/docs/r/report.html"],
        "report_copy": "build/demo/report.html",
        "web_ui": "http://127.0.0.1:8080",
    }
    lines = shown(summary)
    champion, kept = summary["champion"], summary["backup"]
    assert champion["model"].startswith(f"{context.store.url}/models/docs/{training.run}")
    assert f"champion version 1: {champion['model']}" in lines
    where = lines.index("report s3://nightshift/reports/docs/r/report.html")
    assert lines[where + 1] == "build/demo/report.html"
    assert kept["url"].startswith(vault.catalog.store.url)
    assert f"backup {kept['url']}: {kept['files']} files, {kept['bytes']:,} bytes, verified" in lines
    assert "web UI http://127.0.0.1:8080" in lines
    assert "gate model passed, 3 expectations, 0 skipped" in lines
    assert [line.split()[:2] for line in lines if line.startswith(("validation", "test"))] == [
        ["validation", "macro-F1"],
        ["test", "macro-F1"],
    ]


def test_a_person_is_told_that_there_is_no_champion_and_no_backup(context: Context, vault: Vault) -> None:
    lines = shown(summarise(context.catalog, vault, "docs", "2026-11-20"))
    assert lines[1:] == [
        "documents 0 in, 0 kept, 0 unchanged",
        "rejected none",
        "champion none was promoted",
        "backup not verified",
    ]


def test_rejects_are_told_by_reason_the_commonest_first_and_the_champion_before_beside_this_one(
    context: Context, vault: Vault
) -> None:
    crowned(context)
    crowned(context, seed=1)
    summary = summarise(context.catalog, vault, "docs", "2026-11-20")
    summary["documents"] = {"in": 9, "kept": 3, "rejected": {"length": 2, "language": 4}, "unchanged": 0}
    lines = shown(summary)
    assert lines[1:3] == ["documents 9 in, 3 kept, 0 unchanged", "rejected 4 language, 2 length"]
    assert all("(champion before: macro-F1" in line for line in lines if line.startswith(("validation", "test")))
