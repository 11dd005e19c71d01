"""Running text: where documents begin and end, what is no text, and that a file is never held whole."""

from __future__ import annotations

import gzip
import tracemalloc
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.cleaning.raw import Raw, batches
from tasks.config import Corpus
from tasks.config.clean import Clean
from tasks.errors import BadInput, GateFailed
from tasks.kinds.base import Kind, kind_of
from tests.gated import DAY as PARTITION
from tests.gated import Gated, document, judge
from tests.unit.test_gates import gated

__all__ = ["gated"]  # the fixture

DAY = datetime(2026, 11, 20, tzinfo=UTC)
FILE = "= One =\nfirst line\n\nsecond line\n\n\n= Two =\nthird line"


def kind(**params: Any) -> Kind:
    return kind_of(Clean.model_validate({"kind": {"text": params}}))


def read(path: Path, limit: int = 1000, **params: Any) -> list[Raw]:
    return list(kind(**params).read(path, name="x", moment=DAY, limit=limit))


@pytest.mark.parametrize(
    ("params", "documents"),
    [
        ({}, [FILE]),
        ({"document": "line"}, ["= One =\n", "first line\n", "second line\n", "= Two =\n", "third line"]),
        ({"document": "paragraph"}, ["= One =\nfirst line\n\n", "second line\n\n", "= Two =\nthird line"]),
        ({"begins": "^= .* =$"}, ["= One =\nfirst line\n\nsecond line\n\n\n", "= Two =\nthird line"]),
    ],
)
def test_documents_of_a_plain_text_file(tmp_path: Path, params: dict[str, str], documents: list[str]) -> None:
    (tmp_path / "x.txt").write_text(FILE)
    assert [raw.body.decode() for raw in read(tmp_path / "x.txt", **params)] == documents
    with gzip.open(tmp_path / "x.txt.gz", "wt") as out:
        out.write(FILE)
    assert [raw.body.decode() for raw in read(tmp_path / "x.txt.gz", **params)] == documents


def test_a_document_is_named_by_its_text_and_one_too_large_is_a_reject(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("a\n" + "b" * 200_000 + "\na\n")
    raws = read(tmp_path / "x.txt", limit=1000, document="line")
    assert [raw.fault for raw in raws] == [None, "too_large", None]
    assert raws[0].uid == raws[2].uid != raws[1].uid
    assert "line 2 of x" in raws[1].value
    assert raws[1].body == b""


def test_a_file_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    with path.open("w") as out:
        for number in range(20_000):
            out.write(f"{number} " + "word " * 100 + "\n")
        out.write("b" * 20_000_000)
    tracemalloc.start()
    found = sum(1 for _ in kind(document="line").read(path, name="x", moment=DAY, limit=10_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == 20_001
    assert peak < path.stat().st_size / 20


def test_a_damaged_file_and_a_wrong_pattern_are_bad_input(tmp_path: Path) -> None:
    packed = gzip.compress(b"some text\n" * 1000)
    (tmp_path / "x.txt.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(BadInput, match="x: the gzip file is cut off"):
        read(tmp_path / "x.txt.gz")
    middle = len(packed) // 2
    (tmp_path / "x.txt.gz").write_bytes(packed[:middle] + b"\xff" * 8 + packed[middle + 8 :])
    with pytest.raises(BadInput, match="x: the gzip file is cut off or damaged"):
        read(tmp_path / "x.txt.gz")
    with pytest.raises(ValidationError, match="no regular expression"):
        kind(begins="(")


def test_pages_rows_and_files_become_texts_without_labels(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo")
    (tmp_path / "b.html").write_text("<html><body><p>" + "a page of text. " * 20 + "</p></body></html>")
    (tmp_path / "c.jsonl").write_text('{"id": 1, "text": "a row"}\n')
    (tmp_path / "d.txt").write_bytes(bytes(range(1, 32)) * 50)
    clean = Clean.model_validate({"kind": {"text": {"document": "line"}}, "extraction": "fast"})
    files = [tmp_path / name for name in ("a.txt", "b.html", "c.jsonl", "d.txt")]
    raws = kind_of(clean).inputs(files, text="text", limit=10_000, tally=Counter())
    rows = [row for batch in batches(raws) for row in kind_of(clean).refiner(clean).batch(batch).to_pylist()]
    assert [row["text"].split(". ")[0] for row in rows if row["reason"] is None][:2] == ["one", "two"]
    assert {row["reason"] for row in rows} == {None, "undecodable"}
    assert any("a page of text" in row["text"] for row in rows)
    assert any(row["text"] == "a row" for row in rows)


def test_a_corpus_of_text_has_filters_and_no_classifier(make_corpus: Callable[..., Corpus]) -> None:
    made = make_corpus(kind="text", train={"recipe": "language_model"}, clean={"filters": ["gopher_repetition"]})
    assert made.kind.name == "text"
    with pytest.raises(ValidationError, match="tfidf_forest learns from documents, and this corpus is of kind text"):
        make_corpus(kind="text", train={"recipe": "tfidf_forest"})
    with pytest.raises(ValidationError, match=r"floors.accuracy: language_model is measured by perplexity"):
        make_corpus(kind="text", train={"recipe": "language_model"}, gates={"model": {"floors": {"accuracy": 0.5}}})
    with pytest.raises(ValidationError, match="greater than or equal to 300"):
        make_corpus(kind="text", train={"recipe": {"language_model": {"vocabulary": 0}}})


def test_gate_clean_refuses_what_is_no_running_text(gated: Callable[..., Gated]) -> None:
    given = gated(kind="text", train={"recipe": "language_model"})
    rows = [document(i, label=None, text=f"words of text {i}") for i in range(30)]
    given.clean(rows)
    assert judge(given, "clean")["passed"]
    given.clean([*rows, document(31, label=None, text="x" * 500)])
    with pytest.raises(GateFailed, match="mean_word 500"):
        judge(given, "clean")
    given.clean([*rows, document(32, label=None, text="我们喜欢北京" * 100)])
    assert judge(given, "clean")["passed"], "of a language without spaces it is not asked"
    folder = f"clean/docs/{PARTITION}"
    clean = given.clean(rows, rejected=10)
    given.recommit(clean, folder, counts={**clean.counts, "rejected": {"undecodable": 10}})
    with pytest.raises(GateFailed, match="faulty_share"):
        judge(given, "clean")
