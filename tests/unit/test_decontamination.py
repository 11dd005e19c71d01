"""Texts that quote the test split of another corpus's snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.config import Corpus
from tasks.errors import BadInput
from tasks.filters.lists import digest
from tasks.step import Context
from tests.champions import candidate, keyword_corpus
from tests.unit.test_filters import judge

TEST = "What is the name of the longest river that flows through the city of Ulm in Germany?"
OTHER = "Which of the bridges over the river was built first, and who was it that paid for the stones?"


def row(number: int, text: str) -> dict[str, object]:
    return {"uid": f"{number:032x}", "url": f"http://x/{number}", "text": text, "label": "a"}


@pytest.fixture
def manifest(make_context: Callable[..., Context], make_corpus: Callable[..., Corpus]) -> Path:
    """The manifest of a snapshot with one text in train and another in test."""
    context = make_context(keyword_corpus(make_corpus))
    candidate(context, train=[row(1, OTHER)], test=[row(2, TEST)])
    (path,) = Path(context.store.url.removeprefix("file://")).glob("snapshots/docs/*/_manifest.json")
    return path


def test_a_text_that_quotes_a_snapshots_test_is_dropped(manifest: Path) -> None:
    snapshots = [f"file://{manifest}"]
    assert judge("decontamination", f"They asked: {TEST.upper()}", snapshots=snapshots).reason == "shared"
    assert judge("decontamination", f"They asked: {OTHER}", snapshots=snapshots).reason is None


def test_a_snapshot_is_known_by_its_test_split(manifest: Path) -> None:
    url, said = f"file://{manifest}", json.loads(manifest.read_text())
    before = digest(url)
    manifest.write_text(json.dumps(said | {"volatile": {"host": "another"}}))
    assert digest(url) == before
    for each in said["files"]:
        each["sha256"] = "0" * 64
    manifest.write_text(json.dumps(said))
    assert digest(url) != before
    with pytest.raises(BadInput, match="was altered"):
        judge("decontamination", TEST, snapshots=[url])


@pytest.mark.parametrize("content", ["[]", "{}", "no JSON", '{"files": [{"role": "train"}]}'])
def test_what_is_no_snapshot_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "_manifest.json"
    path.write_text(content)
    with pytest.raises(BadInput, match=r"_manifest.json: (not a manifest|the manifest has no file of role test)"):
        judge("decontamination", TEST, snapshots=[f"file://{path}"])
