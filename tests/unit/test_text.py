# ruff: noqa: RUF001
"""Bytes to tidy text: charsets, extraction, normalisation, language."""

from __future__ import annotations

import codecs
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.config.clean import Strip
from tasks.text.decode import decode, unreadable
from tasks.text.extract import MODES
from tasks.text.language import identify
from tasks.text.normalise import stripper, tidy

GERMAN = "Über die Größe der Flüsse läßt sich streiten, meinte der Müller."
RUSSIAN = "Ночной поезд ушёл со станции в десять часов, и никто не знал, куда он идёт и когда вернётся."
JAPANESE = "夜の列車は十時に駅を出た。どこへ行くのか、誰も知らなかった。"


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1252", "iso-8859-15"])
def test_the_header_names_the_charset(encoding: str) -> None:
    assert decode(GERMAN.encode(encoding), encoding) == GERMAN


def test_the_page_names_its_charset_when_the_header_does_not() -> None:
    page = f"<html><head><meta charset='windows-1251'></head><body>{RUSSIAN}"
    assert decode(page.encode("windows-1251")) == page


def test_a_byte_order_mark_beats_the_header() -> None:
    assert decode(codecs.BOM_UTF16_LE + RUSSIAN.encode("utf-16-le"), "windows-1252") == RUSSIAN


def test_bytes_that_are_utf8_are_read_as_such_whatever_the_header_says() -> None:
    assert decode(GERMAN.encode(), "iso-8859-1") == GERMAN


def test_a_header_that_makes_the_page_unreadable_is_not_believed() -> None:
    assert decode(RUSSIAN.encode("windows-1251") * 5, "utf-8") == RUSSIAN * 5


def test_one_broken_byte_in_a_utf8_page_costs_that_character() -> None:
    data = JAPANESE.encode() + b"\xff" + JAPANESE.encode()
    assert decode(data, "utf-8") == JAPANESE + "\ufffd" + JAPANESE


def test_a_seven_bit_encoding_is_not_taken_for_ascii() -> None:
    assert decode(JAPANESE.encode("iso-2022-jp"), "iso-2022-jp") == JAPANESE


def test_an_unannounced_charset_is_guessed() -> None:
    assert decode(RUSSIAN.encode("koi8-r") * 5) == RUSSIAN * 5


@given(st.binary(max_size=2000), st.sampled_from([None, "", "utf-8", "utf-16", "nonsense", "gb18030", "idna", "zip"]))
def test_decoding_never_fails_and_gives_storable_text(data: bytes, declared: str | None) -> None:
    decode(data, declared).encode()


def test_an_archive_served_as_a_page_is_unreadable_and_prose_is_not() -> None:
    assert unreadable(decode(bytes(range(256)) * 40, "windows-1252")) > 0.05
    assert unreadable(GERMAN) == unreadable(JAPANESE) == unreadable("") == 0


@pytest.mark.parametrize("mode", list(MODES))
def test_the_article_is_taken_and_the_menu_left(mode: str) -> None:
    story = "".join(f"<p>Sentence number {i} of a story that goes on and on for a while.</p>" for i in range(20))
    page = (
        "<html><head><title>A story</title></head><body><nav><ul><li><a href=/>Home</a></li></ul></nav>"
        f"<main><article><h1>A story</h1>{story}</article></main><footer>All rights reserved</footer></body></html>"
    )
    found = MODES[mode](page)
    assert found.title == "A story"
    assert "Sentence number 7 of a story" in found.text
    assert "All rights reserved" not in found.text
    assert "Home" not in found.text


@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("page", ["", "<", "<html></html>", "\0", "no markup at all", "</p></p><!--"])
def test_a_page_without_an_article_is_no_error(mode: str, page: str) -> None:
    MODES[mode](page)


def test_texts_that_read_the_same_are_the_same() -> None:
    composed, decomposed = "caf\u00e9 noir\n\nau lait", "cafe\u0301\u00a0noir \t\r\n\r\n\r\n\n\u200bau\x00 lait\n"
    assert tidy(decomposed, "NFC") == composed


def test_without_a_form_characters_stay_as_they_are() -> None:
    assert tidy("ﬁn", "NFKC") == "fin"
    assert tidy("ﬁn", "NFC") == tidy("ﬁn", None) == "ﬁn"


@given(st.text(max_size=500))
def test_tidying_twice_changes_nothing(text: str) -> None:
    once = tidy(text, "NFC")
    assert tidy(once, "NFC") == once
    assert "\n\n\n" not in once
    assert not any(line != line.rstrip() for line in once.split("\n"))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("run", [" ", "\n", "\t\n", "\u00a0", "\u200b"])
def test_long_runs_of_space_cost_linear_time(run: str) -> None:
    assert tidy("a" + run * 3_000_000 + "b", "NFC")


def test_strip_rules_apply_in_order() -> None:
    strip = stripper([Strip(pattern="SKLEARN", replacement="x", ignore_case=True), Strip(pattern="xx+")])
    assert strip("sklearn and xSklearn") == "x and "


@pytest.mark.parametrize(("text", "language"), [(GERMAN, "de"), (RUSSIAN, "ru"), (JAPANESE, "ja"), ("", "")])
def test_languages_are_named(text: str, language: str) -> None:
    code, score = identify(text)
    assert code == language
    assert 0.9 < score <= 1 or not text


def test_a_menu_in_another_language_does_not_outvote_the_text() -> None:
    assert (
        identify("Startseite Über uns Kontakt Impressum Datenschutz " * 5 + "This is what it is about. " * 200)[0]
        == "en"
    )


def test_the_language_model_is_in_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.text import language

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the model must not be fetched")

    language._model.cache_clear()
    monkeypatch.setattr(socket, "socket", refuse)
    assert identify(GERMAN)[0] == "de"
