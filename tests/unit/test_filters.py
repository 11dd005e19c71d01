# ruff: noqa: RUF001
"""Each filter keeps what it should and drops the rest for the reason it names."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.config import Corpus
from tasks.filters.base import FILTERS, Document, Verdict
from tasks.text.ngrams import Repeats
from tasks.text.tokens import Vocabulary

PROSE = (
    "The night train left the station at ten. Nobody on the platform could say where it was to go, and that was fine.\n"
    "A man with a small brown suitcase sat down by the window. He had been told to have patience, so he waited.\n"
    "Rain began to fall on the fields beyond the town, and the lights of the last houses swam in the wet glass.\n\n"
    "When the conductor came he asked for nothing. He looked at the suitcase, then at the man, and walked on slowly.\n"
    "It would be morning before anyone spoke again, and by then the mountains had taken the place of the plain.\n"
)


def judge(name: str, text: str, language: str = "en", score: float = 1.0, **params: Any) -> Verdict:
    kind = FILTERS.get(name)
    document = Document(uid="0", url="http://x/", text=text, language=language, language_score=score)
    return kind(kind.Params(**params)).judge(document)


@pytest.mark.parametrize("name", FILTERS.names())
def test_every_filter_keeps_prose_and_measures_all_it_says_it_measures(name: str) -> None:
    verdict = judge(name, PROSE)
    assert verdict.reason is None
    assert list(verdict.measured) == list(FILTERS.get(name).MEASURES)
    assert all(isinstance(value, (int, float)) for value in verdict.measured.values())


@pytest.mark.parametrize("name", FILTERS.names())
@pytest.mark.parametrize("text", ["x", "\n", "。", "1 2 3", "a " * 5000, "\U0001f600" * 99, "{" * 99, "." * 999])
def test_no_filter_stumbles_over_odd_texts(name: str, text: str) -> None:
    judge(name, text)


@pytest.mark.parametrize(
    ("name", "text", "params", "reason", "value"),
    [
        ("language", PROSE, {"keep": ["de", "fr"]}, "unwanted", "en"),
        ("length", "four words are here", {"min_words": 5}, "words", 4),
        ("length", "four words are here", {"max_words": 3}, "words", 4),
        ("length", "abc", {"min_characters": 4}, "characters", 3),
        ("length", "abcde", {"max_characters": 4}, "characters", 5),
        ("gopher_quality", "the word and that", {}, "words", 4),
        ("gopher_quality", PROSE, {"max_words": 20}, "words", 105),
        ("gopher_quality", "a of to " * 40, {}, "mean_word_length", 5 / 3),
        ("gopher_quality", "internationalisation the " * 40, {}, "mean_word_length", 11.5),
        ("gopher_quality", PROSE + "# " * 20, {}, "symbol_ratio", 20 / 142),
        ("gopher_quality", PROSE + "well... " * 20, {}, "symbol_ratio", 20 / 162),
        ("gopher_quality", "- to have the last line\n" * 20, {}, "bullet_lines", 1.0),
        ("gopher_quality", "the story goes on…\nthat it is\n" * 9, {"max_symbol_ratio": 1}, "ellipsis_lines", 9 / 19),
        ("gopher_quality", "the 1234 with " * 30, {}, "alphabetic_words", 2 / 3),
        ("gopher_quality", "Zimmer Frist Haus Baum " * 20, {}, "stop_words", 0),
        ("gopher_repetition", "\n".join(["Same line here."] * 6 + PROSE.split("\n")), {}, "lines", 5 / 11),
        ("gopher_repetition", PROSE + "\n\nJa." * 4 + "\n\nNo.", {"max_lines": None}, "paragraphs", 3 / 7),
        ("c4", PROSE + "Lorem ipsum dolor sit amet.", {}, "lorem_ipsum", 1),
        ("c4", PROSE + "function() { return }", {}, "curly_bracket", 1),
        ("c4", "No full stop here at all\n" + PROSE, {"min_terminal_lines": 0.9}, "terminal_lines", 5 / 6),
        ("c4", "This line is a sentence. It even holds another one.\nMenu\nLog in", {}, "sentences", 2),
        ("c4", "We have a new cookie policy for you. Please do enable JavaScript now.\n" * 9, {}, "sentences", 0),
        ("c4", "A short line.\n" * 9, {}, "sentences", 0),
    ],
)  # fmt: skip
def test_a_rule_drops_with_its_name_and_what_was_measured(
    name: str, text: str, params: dict[str, Any], reason: str, value: float | str
) -> None:
    verdict = judge(name, text, **params)
    assert verdict.reason == reason
    assert verdict.value == (value if isinstance(value, str) else pytest.approx(value, rel=0.05))


def test_an_uncertain_language_is_dropped() -> None:
    verdict = judge("language", PROSE, score=0.4)
    assert (verdict.reason, verdict.value) == ("uncertain", 0.4)


def test_stop_words_of_another_language_come_from_the_yaml() -> None:
    text = "Der Zug und die Bahn fahren durch Felder, Wiesen und Auen ohne Halt. " * 9
    assert judge("gopher_quality", text, language="de").reason is None
    assert judge("gopher_quality", text, language="de", stop_words={"de": ["und", "der"]}, min_stop_words=3).reason
    assert judge("gopher_quality", text, language="de", stop_words={"de": ["und", "die"]}).reason is None


def test_a_rule_set_to_null_is_off() -> None:
    assert judge("gopher_quality", "the with", min_words=None).reason is None
    assert judge("gopher_repetition", "Ha. " * 500, max_top={}, max_repeated={}).reason is None


def test_chinese_sentences_count() -> None:
    assert judge("c4", "我們在這裡。你們在那裡！他們呢？", "zh", min_line_words=0).reason is None


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("length", {"min_words": 1000}),
        ("c4", {"min_sentences": 1000}),
        ("c4_lines", {"min_words": 1000}),
        ("fineweb_quality", {"max_short_lines": 0.0, "short_line": 1000}),
        ("gopher_quality", {"min_stop_words": 3, "stop_words": {"fr": ["the", "of"]}}),
        ("gopher_repetition", {"max_top": {2: 0.0}}),
    ],
)
def test_parameters_may_be_others_for_a_language(name: str, params: dict[str, Any]) -> None:
    for language in ("en", "fr"):
        verdict = judge(name, PROSE, language, languages={"fr": params})
        assert (verdict.reason is not None or verdict.text == "") == (language == "fr")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"min_word": 3}, r"languages.zh.min_word: no such key; did you mean min_words"),
        ({"min_words": "many"}, r"languages.zh.min_words: Input should be a valid integer.*got 'many'"),
        ({"languages": {}}, "no languages of its own"),
    ],
)
def test_parameters_of_a_language_are_checked(make_corpus: Any, other: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_corpus(clean={"filters": [{"length": {"languages": {"zh": other}}}]})


words = st.lists(st.sampled_from(["a", "bb", "ccc", "d", "e"]), max_size=60)


@given(words)
def test_repeats_are_those_of_the_plain_definition(words: list[str]) -> None:
    read = Vocabulary("en").read(" ".join(words))
    repeats = Repeats(read.ids, read.lengths)
    for n, places, grams in repeats.of_sizes(range(2, 11)):
        ngrams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        count = Counter(ngrams)
        top = count.most_common(1)
        assert repeats.top_characters(n, places, grams) == (len(" ".join(top[0][0])) * top[0][1] if top else 0)
        assert repeats.repeated_characters(n, places, grams) == _repeated(words, n)


def _repeated(words: list[str], n: int) -> int:
    seen, total, i = set(), 0, 0
    while i < len(words) - n + 1:
        gram = "".join(words[i : i + n])
        if tuple(words[i : i + n]) in seen:
            total, i = total + len(gram), i + n
        else:
            seen.add(tuple(words[i : i + n]))
            i += 1
    return total


def test_an_unknown_filter_or_threshold_is_named(make_corpus: Any) -> None:
    with pytest.raises(ValueError, match=re.escape("unknown filter 'gofer'; known: bad_words, c4")):
        make_corpus(clean={"filters": ["gofer"]})
    with pytest.raises(ValueError, match="min_word"):
        make_corpus(clean={"filters": [{"length": {"min_word": 3}}]})


def test_filters_survive_the_way_to_the_child_process(make_corpus: Any) -> None:
    clean = make_corpus(clean={"filters": FILTERS.names(), "document_timeout": "1500ms"}).clean
    assert type(clean).model_validate_json(clean.model_dump_json()) == clean
    other = {"gopher_repetition": {"languages": {"fr": {"max_top": {2: 0.1}}}}}
    clean = make_corpus(clean={"filters": [other]}).clean
    assert type(clean).model_validate_json(clean.model_dump_json()) == clean
    assert isinstance(make_corpus(), Corpus)
