"""`nightshift filter`: other thresholds over a cleaned partition, the rows of cleaning anew, nothing extracted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tasks.catalog import Manifest
from tasks.clean import clean_all
from tasks.cleaning import flow
from tasks.cli import main
from tasks.config import Corpus
from tasks.dedup import dedup
from tasks.errors import BadInput
from tasks.filter import changed, refilter
from tasks.kinds.documents import Documents
from tasks.step import Context
from tests.conftest import CORPUS
from tests.integration.test_clean_steps import DAY, Warc, article, commit_raw, rows

pytestmark = pytest.mark.integration

MakeContext = Callable[..., Context]
MakeCorpus = Callable[..., Corpus]


def settings(**length: Any) -> dict[str, Any]:
    return {"filters": [{"length": length}, {"c4": {"min_sentences": 1}}], "shards": 2}


@pytest.fixture
def warcs(tmp_path: Path) -> list[Path]:
    """Two shards: long and short pages, two captures of one page, a text that is there twice, a page that is gone."""
    first = Warc(tmp_path / "a.warc.gz")
    for number in range(12):
        first.page(f"http://a/{number}", article(f"trains number {number}", 3 + number), number)
    first.page("http://a/3", article("a shorter night", 2), 30).gone("http://a/4", 31)
    second = (
        Warc(tmp_path / "b.warc.gz").page("http://b/1", article("trains number 7", 10), 5).page("http://b/2", "<p>", 6)
    )
    return [first.close(), second.page("http://b/3", article("a bridge", 40), 7).close()]


@pytest.fixture
def cleaned(make_context: MakeContext, make_corpus: MakeCorpus, warcs: list[Path]) -> Callable[..., Context]:
    """A context whose partition was cleaned with these lengths."""

    def build(**length: Any) -> Context:
        context = make_context(make_corpus(clean=settings(**length)))
        commit_raw(context, *warcs)
        clean_all(context, DAY)
        dedup(context, DAY)
        return context

    return build


def partition(context: Context) -> Manifest:
    found = context.catalog.current(f"clean/docs/{DAY}")
    assert found
    return found


def content(context: Context) -> dict[str, Any]:
    manifest = partition(context)
    return {role: rows(context, manifest, role) for role in ("documents", "rejects", "deletions")}


@pytest.mark.parametrize(
    ("old", "new"), [({"min_words": 60}, {"min_words": 130}), ({"min_words": 130}, {"max_words": 400})]
)
def test_the_partition_is_as_if_cleaned_anew(
    cleaned: Callable[..., Context], make_context: MakeContext, make_corpus: MakeCorpus, tmp_path: Path,
    warcs: list[Path], old: Any, new: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from tasks.store import open_store

    context = cleaned(**old)
    other = make_context(make_corpus(clean=settings(**new)), open_store(f"file://{tmp_path}/anew", {}))
    commit_raw(other, *warcs)
    clean_all(other, DAY)
    dedup(other, DAY)
    with monkeypatch.context() as patch:
        patch.setattr(flow, "run", None)
        after = make_context(other.corpus)
        told = refilter(after, DAY)
        assert content(context) == content(other)
        assert (
            partition(context).counts == partition(other).counts == {k: told.counts[k] for k in partition(other).counts}
        )
        assert clean_all(after, DAY).noop
        assert dedup(after, DAY).noop
        assert refilter(after, DAY).noop


def test_a_partition_with_masked_texts_is_filtered_too(
    make_context: MakeContext, make_corpus: MakeCorpus, warcs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def corpus(least: int) -> Corpus:
        chain = [{"length": {"min_words": least}}, {"c4_lines": {"unterminated": True}}, {"pii": {"kinds": ["email"]}}]
        return make_corpus(clean={"filters": chain, "shards": 2})

    context = make_context(corpus(60))
    commit_raw(context, *warcs)
    clean_all(context, DAY)
    dedup(context, DAY)
    before = content(context)
    stricter = make_context(corpus(130))
    with monkeypatch.context() as patch:
        patch.setattr(flow, "run", None)
        refilter(stricter, DAY)
    filtered = content(stricter)
    assert len(filtered["documents"]) < len(before["documents"])
    # Cleaned anew by `clean`, which wants the rejects as they came too: first back, then the same way.
    clean_all(context, DAY)
    clean_all(stricter, DAY)
    dedup(stricter, DAY)
    assert content(stricter)["documents"] == filtered["documents"]


def test_clean_itself_extracts_nothing_when_only_filters_changed(
    cleaned: Callable[..., Context], make_context: MakeContext, make_corpus: MakeCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = cleaned(min_words=130)
    before = content(context)
    monkeypatch.setattr(flow, "run", None)
    looser = make_context(make_corpus(clean=settings(min_words=60)))
    assert not clean_all(looser, DAY).noop
    dedup(looser, DAY)
    assert len(content(looser)["documents"]) > len(before["documents"])
    clean_all(context, DAY)
    dedup(context, DAY)
    assert content(context) == before


def test_anything_else_that_changed_is_cleaned_anew(
    cleaned: Callable[..., Context], make_context: MakeContext, make_corpus: MakeCorpus
) -> None:
    cleaned(min_words=130)
    stripped = make_context(make_corpus(clean=settings(min_words=60) | {"strip": [{"pattern": "one of the many"}]}))
    with pytest.raises(BadInput, match=r"more than filters changed.*nightshift clean --corpus docs"):
        refilter(stripped, DAY)
    assert not clean_all(stripped, DAY).noop
    dedup(stripped, DAY)
    assert not any("one of the many" in row["text"] for row in content(stripped)["documents"])


def test_a_dry_run_shows_the_effect_and_changes_nothing(cleaned: Callable[..., Context]) -> None:
    context = cleaned(min_words=60)
    before = {info.key for info in context.store.list("")}
    lines: list[str] = []
    told = refilter(context, DAY, ["length.min_words=130"], dry_run=True, show=lines.append)
    assert {info.key for info in context.store.list("")} == before
    assert told.counts["kept"] < told.counts["before"]["kept"]
    assert told.counts["documents"] == told.counts["before"]["documents"]
    assert lines[0].startswith("length.min_words: 60 -> 130  keeps ")
    assert "dropped" in lines[1]
    assert "dropped" not in lines[-1]
    drawn = [int(line.removesuffix("  dropped").split()[-1].replace(",", "")) for line in lines[1:]]
    assert sum(drawn) == told.counts["before"]["kept"] + told.counts["before"]["rejected"]["length.words"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("length.min_words", "expected FILTER.KEY=VALUE"),
        ("length.least=3", "expected FILTER.KEY=VALUE"),
        ("words=3", "no filter 'words'; it has: length, c4"),
        ("length.min_words=many", "min_words"),
        ("length.min_words=[", "--set"),
    ],
)
def test_a_change_that_cannot_be_meant_is_named(make_corpus: MakeCorpus, change: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        changed(make_corpus(clean=settings(min_words=3)), [change])


def test_a_threshold_in_a_map_is_reached_by_its_key(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus(clean={"filters": ["gopher_repetition"]})
    assert changed(corpus, ["gopher_repetition.max_top.2=0.5"]).clean.filters[0].params.max_top[2] == 0.5


def test_the_command_filters_a_partition(cleaned: Callable[..., Context], tmp_path: Path) -> None:
    context = cleaned(min_words=60)
    corpus = tmp_path / "docs.yaml"
    corpus.write_text(yaml.safe_dump(CORPUS | {"clean": settings(min_words=60)}))

    def run(*arguments: str) -> Result:
        fixed = ["--corpus", str(corpus), "--partition", DAY, "--store", f"file://{tmp_path}/store", "--json"]
        return CliRunner().invoke(main, ["filter", *fixed, *arguments])

    done = run()
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1])["noop"]
    done = run("--set", "length.min_words=130")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["counts"]["kept"] == partition(context).counts["kept"] < told["counts"]["before"]["kept"]
    assert "judged again; next: stats, gate clean, split, upload; put --set into the YAML" in told["message"]
    assert "length.min_words: 60 -> 130" in done.stderr
    assert run("--set", "no.such=1").exit_code == 2


@pytest.mark.parametrize(("prose", "first"), [(True, "stats, gate clean"), (False, "gate clean")])
def test_texts_are_to_be_counted_again_before_the_gate(
    prose: bool,
    first: str,
    cleaned: Callable[..., Context],
    make_context: MakeContext,
    make_corpus: MakeCorpus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cleaned(min_words=60)
    stricter = make_context(make_corpus(clean=settings(min_words=130)))
    monkeypatch.setattr(Documents, "prose", prose)
    assert refilter(stricter, DAY).message.endswith(f"judged again; next: {first}, split, upload")


def test_a_day_that_was_not_cleaned_is_refused(
    make_context: MakeContext, make_corpus: MakeCorpus, warcs: list[Path]
) -> None:
    context = make_context(make_corpus(clean=settings(min_words=3)))
    commit_raw(context, *warcs)
    with pytest.raises(BadInput, match=r"not cleaned yet; run `nightshift clean"):
        refilter(context, DAY)
