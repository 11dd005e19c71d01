# ruff: noqa: RUF001
"""Summaries: sentences, the words of ROUGE in any script, what is learned from them, and a summarizer that learned."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from tasks.errors import Corrupt
from tasks.judging.summaries import Summaries as Judge
from tasks.kinds.summaries import Summaries, SummariesParams
from tasks.models._ranking import listwise
from tasks.models._rouge import Tokenizer, gains, oracle, scores
from tasks.models.summarizer import Summarizer, SummarizerParams, Summary
from tasks.text.sentences import sentences
from tests.steps import after_steps


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One here. Two there! Three?", ["One here.", "Two there!", "Three?"]),
        (
            'See e.g. Dr. King, page 3. He said "no." So be it.',
            ["See e.g. Dr. King, page 3.", 'He said "no."', "So be it."],
        ),
        (
            "A line that\nis wrapped. And ends\n\nA title\n\nText.",
            ["A line that is wrapped.", "And ends", "A title", "Text."],
        ),
        ("版本 3.14 可用. 2 files stay.", ["版本 3.14 可用.", "2 files stay."]),
        ("今天下雨。我们留在家里！“为什么？”他问。", ["今天下雨。", "我们留在家里！", "“为什么？”", "他问。"]),
        ("这一行\n被折断了。下一句", ["这一行被折断了。", "下一句"]),
        ("  \n\n--- \n", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, found: list[str]) -> None:
    assert sentences(text) == found


def test_rouge_counts_english_as_its_library_does_and_chinese_where_that_sees_nothing() -> None:
    reference, chosen = "The cat sat on a mat, twice.", ["A cat sat twice.", "It was on the mat."]
    given = DefaultTokenizer(use_stemmer=False)
    assert Tokenizer().tokenize(reference) == given.tokenize(reference)
    theirs = RougeScorer(["rouge1", "rouge2", "rougeLsum"]).score(reference, "\n".join(chosen))
    ours = scores(reference, chosen)
    assert ours["rouge_1"] == pytest.approx(theirs["rouge1"].fmeasure)
    assert ours["rouge_2"] == pytest.approx(theirs["rouge2"].fmeasure)
    assert ours["rouge_l"] == pytest.approx(theirs["rougeLsum"].fmeasure)

    assert given.tokenize("研究生命的起源") == []
    assert Tokenizer().tokenize("研究生命的起源") == ["研究", "生命", "的", "起源"]
    half = scores("北京的天气很好。", ["上海的天气很好。"])
    assert 0 < half["rouge_2"] < half["rouge_1"] < 1
    assert scores("北京的天气很好。", ["北京的天气很好。"]) == {"rouge_1": 1, "rouge_2": 1, "rouge_l": 1}


def test_the_oracle_takes_what_adds_to_rouge_and_nothing_else() -> None:
    text = ["Rain is expected.", "The old bridge was closed on Monday.", "Nobody was hurt.", "It opens again in May."]
    summary = "The bridge, closed on Monday, opens again in May."
    assert oracle(text, summary, 3) == [1, 3]
    assert oracle(text, summary, 1) == [3]
    assert oracle(text, "全然不同", 3) == []
    chosen = [text[1], text[3]]
    best = sum(scores(summary, chosen)[name] for name in ("rouge_1", "rouge_2"))
    assert best > sum(scores(summary, [*chosen, text[2]])[name] for name in ("rouge_1", "rouge_2"))


def test_a_sentence_gains_what_a_summary_with_it_has() -> None:
    text = ["Rain is expected.", "The old bridge was closed on Monday.", "Nobody was hurt.", "It opens again in May."]
    summary = "The bridge, closed on Monday, opens again in May."

    def rouge(*places: int) -> float:
        return sum(scores(summary, [text[place] for place in places])[name] for name in ("rouge_1", "rouge_2"))

    assert gains(text, summary, 1) == pytest.approx([rouge(place) for place in range(4)])
    two = gains(text, summary, 2)
    # The library also counts the pair of words where one sentence ends and the next begins.
    assert two == pytest.approx([rouge(0, 3), rouge(1, 3), rouge(2, 3), rouge(1, 3)], rel=0.05)
    assert gains(text, summary, 3)[1] == max(two), "the oracle takes no third"
    assert gains(text, "全然不同", 2) == []


def test_a_ranking_costs_least_where_scores_are_as_far_apart_as_gains() -> None:
    gained = np.array([[0.3, 0.1, 0.2, 0.0]], np.float32)
    there = np.array([[True, True, True, False]])

    def of(*scores: float) -> tuple[float, float]:
        found = listwise(np.array([scores], np.float32), gained, there)
        return float(found["loss"][0]), float(found["accuracy"][0])

    best, hit = of(6.0, 2.0, 4.0, 99.0)
    assert hit == 1, "what is no member has no say"
    assert best == pytest.approx(of(9.0, 5.0, 7.0, 0.0)[0], abs=1e-5)
    for worse, right in ((of(1.0, 3.0, 2.0, 0.0), 0), (of(9.0, 1.0, 2.0, 0.0), 1), (of(0.0, 0.0, 0.0, 0.0), 1)):
        assert worse[0] > best and worse[1] == right


def row(body: dict[str, Any] | bytes, media: str = "application/json", **params: Any) -> Any:
    made = Summaries(SummariesParams.model_validate(params))
    return made.row({"content_type": media, "body": json.dumps(body).encode() if isinstance(body, dict) else body})


def test_a_row_is_a_text_in_sentences_with_its_summary_or_a_reject() -> None:
    good = row({"text": "One. Two is here.", "summary": " Both. "})
    assert good.columns == {"sentences": ["One.", "Two is here."], "summary": "Both."}
    assert good.digest == row({"text": "One.\n\nTwo is here.", "summary": "Other"}).digest
    assert (row({"text": "One. Two.", "summary": ""}).reason, row({"text": None, "summary": "x"}).reason) == (
        "missing",
        "missing",
    )
    assert row({"text": "Only one", "summary": "x"}).reason == "too_short"
    assert row({"text": ["a"], "summary": "x"}).reason == "missing"
    assert row(b"\xff", "image/png").reason == "content_type"
    assert row({"text": "One. Two."}).columns["summary"] is None, "to be predicted: nobody knows it yet"
    assert row("第一句。第二句。".encode(), "text/plain").columns["sentences"] == ["第一句。", "第二句。"]
    with pytest.raises(ValueError, match="the same column"):
        SummariesParams(text="body", summary="body")


ENGLISH = ("We conclude that {0} helps {1}.", "In {0} there was some {1}, as ever.")
CHINESE = ("结论是{0}对{1}有帮助。", "昨天{0}那里有一些{1}。")
NAMES = {
    ENGLISH: ("water", "light", "music", "winter", "paper", "travel"),
    CHINESE: ("阳光", "音乐", "运动", "睡眠", "冬天", "旅行"),
}


def texts(count: int, language: tuple[str, ...], seed: int = 0) -> tuple[pa.Table, list[int]]:
    """Texts of five sentences, one of which, anywhere, concludes; summaries say what that one says."""
    chance = random.Random(seed)
    conclusion, other = language
    rows, places = [], []
    for _ in range(count):
        one, two = chance.sample(NAMES[language], 2)
        found = [other.format(*chance.sample(NAMES[language], 2)) for _ in range(5)]
        places.append(chance.randrange(5))
        found[places[-1]] = conclusion.format(one, two)
        rows.append({"sentences": found, "summary": conclusion.format(one, two)[:-1], "text": "\n".join(found)})
    return pa.Table.from_pylist(rows), places


def fitted(made: Summarizer, rows: pa.Table, steps: int = 40) -> Any:
    features = made.combine([made.count(iter([rows]))], rows.num_rows)
    (columns,) = made.encode(iter([rows]), features)
    return after_steps(made, features, columns, rate=0.03, steps=steps)


def recipe(**params: Any) -> Summarizer:
    small = {"max_sentences": 6, "max_words": 8, "dimension": 8, "position_dimension": 4, "filters": 8, "units": 8}
    return Summarizer(SummarizerParams.model_validate({**small, "sentences": 1, "dropout": 0.0, **params}), 0)


@pytest.mark.parametrize("language", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_it_finds_the_sentence_that_says_it_wherever_it_stands(language: tuple[str, ...], tmp_path: Path) -> None:
    made, (rows, _) = recipe(), texts(60, language)
    model = fitted(made, rows)
    unseen, places = texts(30, language, seed=9)
    columns = {name: unseen[name].to_pylist() for name in ("sentences", "summary")}
    said = made.predict(model, [""] * 30, columns)
    assert sum(each.places == [place] for each, place in zip(said, places, strict=True)) >= 27
    judge = Judge(made, model, ())
    judge.add(unseen.append_column("url", pa.nulls(30, pa.string())), said)
    metrics = judge.metrics()
    assert metrics["rouge_1"] > 0.9 > metrics["lead_rouge_1"]
    assert metrics["oracle_rouge_1"] >= metrics["rouge_1"]
    assert metrics["distinct"] == 2

    made.save(model, tmp_path)
    loaded = made.load(tmp_path)
    again = made.predict(loaded, ["", ""], {"sentences": [columns["sentences"][3], ["One."] * 9]})
    assert again[0].places == said[3].places
    assert len(again[1].chances) == 6, "of a longer text the first max_sentences are read"
    with pytest.raises(Corrupt):
        recipe(units=5).load(tmp_path)


def test_a_sentence_that_repeats_another_is_not_taken_beside_it() -> None:
    made = recipe(sentences=2)
    text = ["The bridge is closed today.", "Yes, the bridge is closed.", "It opens in May."]
    assert made._chosen(text, [0.9, 0.8, 0.1]) == [0, 2]
    assert recipe(sentences=2, block_trigrams=False)._chosen(text, [0.9, 0.8, 0.1]) == [0, 1]


def test_a_text_whose_summary_shares_no_word_teaches_nothing_and_words_come_from_a_champion() -> None:
    made, (rows, _) = recipe(), texts(20, ENGLISH)
    features = made.combine([made.count(iter([rows]))], 20)
    apart = made.combine([made.count(iter([rows.slice(i, 10)])) for i in (10, 0)], 20)
    assert apart.equals(features)
    strange = pa.Table.from_pylist([{"sentences": ["One two.", "Three."], "summary": "Nothing", "text": "x"}])
    (encoded,) = made.encode(iter([pa.concat_tables([rows, strange])]), features)
    assert len(encoded["words"]) == 20
    assert all(len(gained) == 5 and max(gained) > 1 for gained in encoded["gains"])
    start = made.network(features).get_weights()
    champion = made.model([np.full_like(array, 7) for array in start], features)
    champion.terms[0] = "elsewhere"
    warm = made.warm(start, features, champion)
    assert [bool((vector == 7).all()) for vector in warm[0][:4]] == [True, True, False, True]


def test_a_model_that_finds_all_texts_alike_is_seen_and_a_part_without_rows_has_no_numbers() -> None:
    rows, _ = texts(5, ENGLISH)
    rows = rows.append_column("url", pa.nulls(5, pa.string()))
    for chances, distinct in (([[0.5] * 2] * 5, 1), ([[1 / n] * n for n in (2, 3, 4, 2, 7)], 1), ([[0.6, 0.4]] * 4, 2)):
        judge = Judge(recipe(), None, ())
        judge.add(rows, [Summary([0], each) for each in [*chances, [0.5] * 2][:5]])
        assert judge.metrics()["distinct"] == distinct
    empty = Judge(None, None, ()).metrics()
    assert (empty["rows"], empty["rouge_1"], empty["lead_rouge_1"]) == (0, None, None)
