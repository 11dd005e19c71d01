"""Filters that take things out: lines, addresses, secrets, blocked pages, quoted tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import BadInput
from tasks.filters.base import FILTERS, Document, Verdict


def judge(name: str, text: str, url: str = "http://x/", language: str = "en", **params: Any) -> Verdict:
    kind = FILTERS.get(name)
    return kind(kind.Params(**params)).judge(Document(uid="0", url=url, text=text, language=language))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to bob.smith+a@mail.corp.org, please", "write to email@example.com, please"),
        ("at 8.8.8.8 and 10.0.0.1 and 1.2.3.4.5", "at 192.0.2.1 and 10.0.0.1 and 1.2.3.4.5"),
        ("at 2001:4860:4860::8888 not 12:30:45", "at 192.0.2.1 not 12:30:45"),
        ("call +1 415 555 2671 or (415) 555-2671", "call <phone> or <phone>"),
        ("in 2024-01-02 there were 1,234,567 of 12345678", "in 2024-01-02 there were 1,234,567 of 12345678"),
        ("card 4111 1111 1111 1111", "card <card>"),
        ("not a card 4111 1111 1111 1112", "not a card 4111 1111 1111 1112"),
        ("key AKIAIOSFODNN7EXAMPLE", "key <secret>"),
        ("token ghp_" + "a1" * 18, "token <secret>"),
    ],
)
def test_personal_data_is_masked_and_nothing_else(text: str, masked: str) -> None:
    verdict = judge("pii", text)
    assert (verdict.reason, text if verdict.text is None else verdict.text) == (None, masked)
    assert judge("pii", masked).measured == {"found": 0}


def test_personal_data_may_drop_the_text() -> None:
    verdict = judge("pii", "write to bob@corp.org", action="drop")
    assert (verdict.reason, verdict.value) == ("email", 1)
    assert judge("pii", "write to bob@corp.org", action="drop", kinds=["card"]).reason is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://www.bad.example/x", "domain"),
        ("https://sub.bad.example/", "domain"),
        ("https://notbad.example/", None),
        ("http://good.example/page/#top", "url"),
        ("http://good.example/page2", None),
        ("http://good.example/private/1", "url"),
        ("http://good.example/best-casino_tips", "word"),
        ("http://good.example/casinos", None),
        ("http://[broken", None),
    ],
)
def test_blocked_addresses_are_dropped(url: str, reason: str | None, tmp_path: Path) -> None:
    listed = tmp_path / "urls"
    listed.write_text("# a comment\n\nhttps://www.good.example/page\n")
    lists = {"domains": ["bad.example"], "urls": ["good.example/private/*"], "words": ["casino"]}
    assert judge("url_blocklist", "text", url=url, url_files=[str(listed)], **lists).reason == reason


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        judge("url_blocklist", "text", domain_files=[str(tmp_path / "nowhere")])


def test_bad_words_are_whole_words_of_the_language() -> None:
    words = {"en": ["darn", "very bad"], "zh": ["坏"]}
    assert judge("bad_words", "Well, DARN it", words=words).value == 1
    assert judge("bad_words", "He darned a very  good sock", words=words).reason is None
    assert judge("bad_words", "darn", language="de", words=words).reason is None
    assert judge("bad_words", "这很坏了", language="zh", words=words).reason == "words"
    assert judge("bad_words", "darn, very bad", words=words, max_words=2).measured == {"words": 2}


def test_a_text_that_quotes_a_test_is_dropped(tmp_path: Path) -> None:
    test = "What is the name of the longest river that flows through the city of Ulm in Germany?"
    tests = tmp_path / "tests.jsonl"
    tests.write_text(json.dumps({"text": test}) + "\nTwo words\n# Heading of a test\n")
    files = [str(tests)]
    quoted = f"They asked us: {test.upper().replace(',', ' ')} Nobody knew."
    assert judge("decontamination", quoted, files=files).reason == "shared"
    assert judge("decontamination", "What is the name of the longest river?", files=files).reason is None
    assert judge("decontamination", "These are (two, words).", files=files).value == 1
    assert judge("decontamination", "Under the heading of a test it stood.", files=files).value == 1


def test_lines_that_are_no_sentences_are_taken_out() -> None:
    text = "Home\nThis line stays[1] as it is.\nWe use cookies on this very page.\nNo end to this line"
    assert judge("c4_lines", text).text == "This line stays as it is."
    assert judge("c4_lines", text, unterminated=True).text == "This line stays as it is.\nNo end to this line"
    assert judge("c4_lines", text).measured == {"removed_lines": 3}


def test_a_list_of_short_lines_is_no_running_text() -> None:
    assert judge("fineweb_quality", "Home\nAbout us\nContact\n" * 3).reason == "terminal_lines"
    assert judge("fineweb_quality", "Home.\nAbout us.\nContact.").reason == "short_lines"
    assert (
        judge("fineweb_quality", ("This is one line of a certain length.\n" * 2).strip()).reason
        == "repeated_characters"
    )
    assert (
        judge("fineweb_quality", "Incomprehensibilities indeed, altogether.\n" * 2, max_repeated_characters=None).reason
        is None
    )
    odd = "\n".join(f"Counterrevolutionaries{'!' if n else '.'}internationally{n}." for n in range(9))
    assert judge("fineweb_quality", odd, max_list_ratio=0.1).reason == "list_ratio"
