"""Which source brings which day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tasks.config import Corpus
from tasks.crawl import choose, command
from tasks.errors import BadInput

TODAY = date(2026, 11, 20)
YESTERDAY = "2026-11-19"
LIVE = {"live": {"crawl": {"seeds": ["http://site.test/"]}}}
HISTORY = {"history": {"archive": {"path": "archive/{partition}/*.warc.gz"}}}
FILES = {"live": {"files": {"path": "exports/*.jsonl"}}}


def chosen(corpus: Corpus, day: str, origin: str = "auto", *, unfinished: bool = False) -> tuple[str, str]:
    found, choice = choose(corpus, day, today=TODAY, origin=origin, unfinished=lambda source, config: unfinished)
    return found, choice.name


@pytest.mark.parametrize(
    ("source", "day", "origin", "expected"),
    [
        ({**LIVE, **HISTORY}, "2026-11-20", "auto", ("live", "crawl")),
        ({**LIVE, **HISTORY}, YESTERDAY, "auto", ("history", "archive")),
        ({**LIVE, **HISTORY}, "2026-11-20", "history", ("history", "archive")),
        (HISTORY, "2026-11-20", "auto", ("history", "archive")),
        (FILES, "2026-11-20", "auto", ("live", "files")),
        (FILES, YESTERDAY, "auto", ("live", "files")),
        (FILES, YESTERDAY, "live", ("live", "files")),
        ({**FILES, **HISTORY}, YESTERDAY, "auto", ("history", "archive")),
    ],
)
def test_today_is_live_and_the_past_is_history(
    make_corpus: Callable[..., Corpus], source: Any, day: str, origin: str, expected: tuple[str, str]
) -> None:
    assert chosen(make_corpus(source=source), day, origin) == expected


@pytest.mark.parametrize(
    ("source", "day", "origin", "message"),
    [
        (LIVE, YESTERDAY, "live", "would record today's web as the past"),
        ({**LIVE, **HISTORY}, YESTERDAY, "live", "would record today's web as the past"),
        (LIVE, YESTERDAY, "auto", "no source.history to bring 2026-11-19"),
        (LIVE, "2026-11-20", "history", "no source.history"),
        (HISTORY, "2026-11-20", "live", "no source.live"),
        (LIVE, "2026-11-21", "auto", "has not come yet"),
    ],
)
def test_a_day_that_no_source_can_bring_is_refused(
    make_corpus: Callable[..., Corpus], source: Any, day: str, origin: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        chosen(make_corpus(source=source), day, origin)


@pytest.mark.parametrize(
    ("source", "origin", "remedy"),
    [
        (LIVE, "live", "Add source.history to docs.yaml"),
        (LIVE, "auto", "Add source.history to docs.yaml"),
        ({**LIVE, **HISTORY}, "live", "Bring it by --origin history or a backfill"),
    ],
)
def test_a_night_that_started_after_midnight_is_told_so_and_what_to_do(
    make_corpus: Callable[..., Corpus], source: Any, origin: str, remedy: str
) -> None:
    with pytest.raises(BadInput) as refused:
        chosen(make_corpus(source=source), YESTERDAY, origin)
    assert "that night was missed: it started after midnight" in str(refused.value)
    assert remedy in str(refused.value)
    assert "or leave it: the next night's crawl brings what changed" in str(refused.value)


def test_today_is_never_a_missed_night(make_corpus: Callable[..., Corpus]) -> None:
    with pytest.raises(BadInput, match="or use --origin live") as refused:
        chosen(make_corpus(source=LIVE), TODAY.isoformat(), "history")
    assert "missed" not in str(refused.value)


def test_a_crawl_that_began_before_midnight_may_go_on(make_corpus: Callable[..., Corpus]) -> None:
    corpus = make_corpus(source={**LIVE, **HISTORY})
    assert chosen(corpus, YESTERDAY, unfinished=True) == ("live", "crawl")
    assert chosen(corpus, YESTERDAY, "live", unfinished=True) == ("live", "crawl")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"seeds": []}, "give seeds, sitemaps, or both"),
        ({"seeds": ["ftp://x/"]}, "not an http"),
        ({"seeds": ["http://x/"], "allow": ["("]}, "not a regular expression"),
        ({"seeds": ["http://x/"], "networks": ["10.0.0.1/8"]}, "has host bits set"),
        ({"seeds": ["http://x/"], "budget": {"pages": 0}}, "greater than or equal to 1"),
        ({"seeds": ["http://x/"], "speed": 1}, "no such key"),
    ],
)
def test_a_wrong_crawl_section_is_refused(make_corpus: Callable[..., Corpus], params: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_corpus(source={"live": {"crawl": params}})


def test_a_typo_names_the_sources_there_are(make_corpus: Callable[..., Corpus]) -> None:
    with pytest.raises(ValueError, match="unknown source 'crawler'; known: archive, crawl, files"):
        make_corpus(source={"live": {"crawler": {}}})


def test_the_command_says_what_is_missing_and_exits_2(tmp_path: Path) -> None:
    path = tmp_path / "docs.yaml"
    path.write_text("corpus: docs\nsource: {live: {files: {path: 'none/*.jsonl'}}}\ntrain: {recipe: tfidf_forest}\n")
    options = ["--corpus", str(path), "--partition", "2026-01-01", "--store", f"file://{tmp_path}/store", "--json"]
    result = CliRunner().invoke(command, options)
    assert result.exit_code == 2
    assert "nothing matches" in result.output
