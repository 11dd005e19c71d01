# ruff: noqa: RUF001
"""Tagged sequences: what is read, what is rejected, and which entities count as right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.cleaning.raw import Raw, batches
from tasks.config import Corpus
from tasks.config.clean import Clean
from tasks.judging.base import measures_of
from tasks.judging.entities import Entities
from tasks.kinds._tags import fault_of, spans
from tasks.kinds.base import kind_of

DAY = datetime(2026, 11, 20, tzinfo=UTC)


def cleaned(rows: Sequence[dict[str, Any]], **params: Any) -> list[dict[str, Any]]:
    """The outcomes of rows with ``tokens`` and ``tags``, as a cleaning process makes them."""
    clean = Clean.model_validate({"kind": {"sequences": params}})
    raws = [Raw(f"{n:032x}", "", DAY, json.dumps(row).encode(), "application/json") for n, row in enumerate(rows)]
    refiner = kind_of(clean).refiner(clean)
    return [row for batch in batches(raws) for row in refiner.batch(batch).to_pylist()]


@pytest.mark.parametrize(
    ("tags", "scheme", "fault"),
    [
        (["B-X", "I-X", "O"], "IOB2", None),
        (["O", "I-X"], "IOB2", "O I-X"),
        (["I-X"], "IOB2", "begin I-X"),
        (["B-X", "I-Y"], "IOB2", "B-X I-Y"),
        (["B-X", "E-X", "S-Y"], "BIOES", None),
        (["B-X", "O"], "BIOES", "B-X O"),
        (["B-X"], "BIOES", "B-X end"),
        (["S-X", "E-X"], "BIOES", "S-X E-X"),
        (["S-X"], "IOB2", "'S-X' is no tag of IOB2"),
        (["O-X"], "IOB2", "'O-X' is no tag of IOB2"),
        (["NOUN", "VERB"], "none", None),
    ],
)
def test_tags_follow_their_scheme(tags: list[str], scheme: str, fault: str | None) -> None:
    assert fault_of(tags, scheme) == fault


def test_what_cannot_be_learned_is_rejected_with_its_reason() -> None:
    rows = [
        {"tokens": ["Ada", "wrote"], "tags": ["B-PER", "O"]},
        {"tokens": ["Ada", "wrote"], "tags": ["B-PER"]},
        {"tokens": ["Ada", "wrote"], "tags": ["O", "I-PER"]},
        {"tokens": [], "tags": []},
        {"tokens": "Ada wrote", "tags": ["O"]},
        {"tokens": ["Ada"], "tags": None},
        {"tokens": ["Rome"], "tags": ["B-LOC"]},
        {"tokens": ["a", "b", "c"], "tags": ["O", "O", "O"]},
        {"tokens": ["Ada"]},
    ]
    found = cleaned(rows, types=["PER"], max_tokens=2)
    reasons = [None, "unequal", "invalid_tags", "empty", "malformed", "malformed", "unknown_type", "too_large", None]
    assert [row["reason"] for row in found] == reasons
    assert (found[0]["text"], found[0]["tokens"], found[0]["tags"]) == ("Ada wrote", ["Ada", "wrote"], ["B-PER", "O"])
    assert found[8]["tags"] is None, "a row that is to be predicted has none"


def test_the_same_tokens_under_other_tags_are_one_sentence() -> None:
    one, other = cleaned([{"tokens": ["a", "b"], "tags": ["O", "O"]}, {"tokens": ["a", "b"], "tags": ["B-X", "O"]}])
    assert one["digest"] == other["digest"]
    joined = cleaned([{"tokens": ["a b"], "tags": ["O"]}])
    assert joined[0]["digest"] != one["digest"]


def test_conll_columns_are_read_sentence_by_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.conll"
    path.write_text("-DOCSTART- -X- O\n\n# id = 1\nU.N. NNP B-ORG\nsaid VBD O\n\n\nRome\tNNP\tB-LOC")
    kind = kind_of(Clean.model_validate({"kind": "sequences"}))
    raws = list(kind.read(path, name="x", moment=DAY, limit=1000))
    assert [json.loads(raw.body) for raw in raws] == [
        {"tokens": ["U.N.", "said"], "tags": ["B-ORG", "O"]},
        {"tokens": ["Rome"], "tags": ["B-LOC"]},
    ]
    assert [raw.fault for raw in kind.read(path, name="x", moment=DAY, limit=10)] == ["too_large", "too_large"]


def test_a_line_of_text_is_a_sentence_to_be_predicted(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("Ada wrote .\n\nin Rome\n我们在 Python课 学习，很好。\n東京に行きました。\n")
    kind = kind_of(Clean.model_validate({"kind": "sequences"}))
    raws = kind.inputs([tmp_path / "x.txt"], text="text", limit=1000, tally=Counter())
    clean = Clean.model_validate({"kind": "sequences"})
    rows = [row for batch in batches(raws) for row in kind.refiner(clean).batch(batch).to_pylist()]
    assert [row["tokens"] for row in rows] == [
        ["Ada", "wrote", "."],
        ["in", "Rome"],
        ["我们", "在", "Python", "课", "学习", "，", "很", "好", "。"],
        ["東京", "に", "行き", "まし", "た", "。"],
    ]


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        (["B-A", "I-A", "B-A", "O", "I-B"], [("A", 0, 2), ("A", 2, 3), ("B", 4, 5)]),
        (["I-A", "I-B"], [("A", 0, 1), ("B", 1, 2)]),
        (["B-A", "E-A", "I-A", "S-B", "S-B"], [("A", 0, 2), ("A", 2, 3), ("B", 3, 4), ("B", 4, 5)]),
        (["O", "O"], []),
    ],
)
def test_entities_are_those_of_conlleval(tags: list[str], entities: list[tuple[str, int, int]]) -> None:
    assert spans(tags) == entities


class _Tagger:
    columns = ("tokens", "tags")

    def labels(self, model: Any) -> list[str]:
        return ["B-LOC", "B-PER", "I-PER", "O"]


def test_only_a_whole_entity_of_the_right_type_is_right() -> None:
    judge = Entities(_Tagger(), None, ("group",))  # type: ignore[arg-type]
    truth = [["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "O"], ["B-ORG"]]
    said = [["B-PER", "O", "O", "B-LOC"], ["B-LOC", "O"], ["O"]]
    tokens = [["Ada", "King", "in", "Rome"], ["Ada", "wrote"], ["UN"]]
    batch = pa.table({"tokens": tokens, "tags": truth, "url": ["u", "", ""], "group": ["a", "a", None]})
    judge.add(batch, said)
    metrics = judge.metrics()
    # By hand: 4 entities, 3 said, 1 right.
    assert (metrics["precision"], metrics["recall"], metrics["f1"]) == (1 / 3, 1 / 4, 2 / 7)
    assert metrics["accuracy"] == 4 / 7
    assert metrics["per_class"]["LOC"] == {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1}
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert metrics["unseen"] == {"ORG": 1}
    assert judge.pairs["PER", "LOC"] == 1
    assert judge.pairs["PER", "(none)"] == 1
    assert metrics["slices"]["group"]["a"]["rows"] == 2
    assert [measure.name for measure in measures_of(json.loads(json.dumps(metrics)))] == ["f1", "macro_f1", "accuracy"]


CORPUS = {
    "corpus": "names",
    "kind": "sequences",
    "source": {"live": {"files": {"path": "/nowhere/*.conll"}}},
    "train": {"recipe": "lstm_tagger"},
}


def test_a_corpus_says_its_kind_and_is_held_to_it() -> None:
    corpus = Corpus.model_validate(CORPUS)
    assert corpus.clean.kind.name == "sequences"
    assert Clean.model_validate_json(corpus.clean.model_dump_json()) == corpus.clean
    for change, fault in (
        ({"kind": "pictures"}, "unknown kind 'pictures'"),
        ({"kind": "documents"}, "lstm_tagger learns from sequences"),
        ({"train": {"recipe": "tfidf_forest"}}, "tfidf_forest learns from documents"),
        ({"clean": {"filters": ["c4"]}}, "sequences has none"),
        ({"clean": {"kind": "images"}}, "give `kind` beside `corpus`"),
        ({"gates": {"model": {"floors": {"perplexity": 3}}}}, "measured by f1, macro_f1, accuracy"),
        ({"gates": {"model": {"floors": {"f1": 3}}}}, "a share, from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=fault):
            Corpus.model_validate({**CORPUS, **change})


def test_documents_digest_as_they_did_before_there_were_kinds() -> None:
    assert "kind" not in Clean().model_dump(mode="json")
    assert Clean.model_validate({"kind": "sequences"}).digest() != Clean().digest()
