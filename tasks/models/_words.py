"""The words of a text, in whatever script it is written: what every recipe of texts starts from."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from tasks.text.scripts import HAN, KANA, MARKS, OTHERS

_RUN = re.compile(f"[{HAN}{KANA}]+|[{OTHERS}]+")
_IS_KANA = re.compile(f"[{KANA}]")
_WORD = re.compile(r"\b\w\w+\b")
_EVERY = re.compile(r"[^\W_]+")
_PAIR = 2


def words(text: str, *, every: bool = False) -> list[str]:
    r"""The words of a text in their order: ``\b\w\w+\b``, as scikit-learn has it, of scripts with spaces.

    With ``every`` it is each run of letters and digits, those of one among them. Marks, as the vowel signs of Indic
    scripts, are part of the word that they stand in.

    Chinese is divided by jieba's dictionary and Japanese, which is what has kana, by Sudachi's; there a word may
    be one character. Of Thai, Lao, Burmese and Khmer, which have no dictionary here, every two characters that
    stand side by side are one: what Lucene does with scripts that it does not know.
    """
    word = _EVERY if every else _WORD
    if not text.isascii():
        mark, *marked = marks()
        word = marked[every] if mark.search(text) else word
    first = _RUN.search(text)
    if first is None:
        return word.findall(text)
    from tasks.text.segment import segmenter

    cut = segmenter("ja" if _IS_KANA.search(text) else "zh")
    assert cut is not None  # both are there
    found: list[str] = []
    at = 0
    for run in _RUN.finditer(text, first.start()):
        found += word.findall(text[at : run.start()])
        found += _inside(run[0], cut)
        at = run.end()
    return found + word.findall(text[at:])


@functools.cache
def marks() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    r"""A mark; a word that may have some, of two letters and signs or more; each run of letters, digits and marks.

    Marks are no ``\w``: of Hindi, Bengali or Tamil the plain patterns would leave the consonants between vowel signs. A
    joiner behind a mark, which asks for another form of the letters, is within the word too. Compiled where a text
    needs them, which takes a while.
    """
    joined = rf"(?<=[{MARKS}])[\u200c\u200d](?=\w)"
    return (
        re.compile(f"[{MARKS}]"),
        re.compile(rf"\b\w(?:[\w{MARKS}]|{joined})+"),
        re.compile(rf"[^\W_](?:[^\W_]|[{MARKS}]|{joined})*"),
    )


def _inside(run: str, cut: Callable[[str], list[str]]) -> list[str]:
    if not re.match(f"[{OTHERS}]", run):
        return cut(run)
    return [run[i : i + _PAIR] for i in range(max(len(run) - _PAIR + 1, 1))]


def spaced(text: str) -> bool:
    """Whether all its words are told apart by spaces."""
    return _RUN.search(text) is None


_SPACELESS = re.compile(f"[{HAN}{KANA}]+")


def spaceless(text: str) -> Iterator[tuple[str, bool]]:
    """The text in stretches that joined are the text: words of Chinese and Japanese (True), and what is between."""
    first = _SPACELESS.search(text)
    if first is None:
        yield text, False
        return
    from tasks.text.segment import segmenter

    cut = segmenter("ja" if _IS_KANA.search(text) else "zh")
    assert cut is not None  # both are there
    at = 0
    for run in _SPACELESS.finditer(text, first.start()):
        if run.start() > at:
            yield text[at : run.start()], False
        found = cut(run[0])
        # A dictionary that changes what it reads would change the text.
        yield from ((word, True) for word in (found if "".join(found) == run[0] else [run[0]]))
        at = run.end()
    if at < len(text):
        yield text[at:], False
