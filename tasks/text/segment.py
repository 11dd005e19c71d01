"""Words of languages that are written without spaces."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

_LONGEST = 10_000
"""Characters that are segmented at a time: the Japanese dictionary takes 49,149 bytes, and no line is longer."""

CLUSTERED = ("th", "lo", "my", "km")
"""Languages without a dictionary here: a character with its vowels and tones stands for a word, which has some two."""
SPACELESS = frozenset({"zh", "ja", *CLUSTERED})
"""Languages whose words have no spaces between them."""


def segmenter(language: str) -> Callable[[str], list[str]] | None:
    """A function from a line to its words, for a language without spaces between them; None for any other.

    Chinese by jieba's dictionary, Japanese by Sudachi's short units; Thai, Lao, Burmese and Khmer by the character.
    """
    return {"zh": _chinese, "ja": _japanese, **dict.fromkeys(CLUSTERED, _characters)}.get(language)


def _chinese(line: str) -> list[str]:
    import rjieba

    return [word for part in _parts(line) for word in map(str.strip, rjieba.cut(part)) if word]


def _japanese(line: str) -> list[str]:
    tokenizer = _sudachi()
    return [word for part in _parts(line) for m in tokenizer.tokenize(part) if (word := m.surface().strip())]


def _characters(line: str) -> list[str]:
    from tasks.text.scripts import cluster

    found: list[str] = []
    for run in line.split():
        at = 0
        for character in cluster().finditer(run):
            found += (*_others(run[at : character.start()]), character[0])
            at = character.end()
        found += _others(run[at:])
    return found


def _others(text: str) -> tuple[str, ...]:
    from tasks.text.words import split

    return split(text, "") if text else ()


@functools.cache
def _sudachi() -> Any:
    from sudachipy import Dictionary, SplitMode

    return Dictionary(dict="small").tokenizer(mode=SplitMode.A)


def _parts(line: str) -> list[str]:
    return [line[at : at + _LONGEST] for at in range(0, len(line), _LONGEST)]
