"""Does the text say the same thing over and over? The repetition rules of Gopher.

Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", appendix
A1.1, table A1. The defaults are the paper's. Words are those of ``tasks.text.words``, marks among them;
shares of characters are of the whole text's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.filters.languages import ByLanguage, Overrides, overrides
from tasks.text.segment import CLUSTERED

_PARAGRAPH = re.compile(r"\n{2,}")
_TOP = (2, 3, 4)
_REPEATED = (5, 6, 7, 8, 9, 10)


class RepetitionParams(ByLanguage):
    """``clean.filters: [{gopher_repetition: {max_lines: 0.4}}]``; a rule set to null is off."""

    max_lines: float | None = Field(0.30, ge=0, le=1, description="share of lines that stood there before")
    max_paragraphs: float | None = Field(0.30, ge=0, le=1, description="share of paragraphs that stood there before")
    max_line_characters: float | None = Field(0.20, ge=0, le=1, description="characters in repeated lines")
    max_paragraph_characters: float | None = Field(0.20, ge=0, le=1, description="characters in repeated paragraphs")
    max_top: dict[int, float] = Field(
        default_factory=lambda: {2: 0.20, 3: 0.18, 4: 0.16},
        description="characters in the most frequent n-gram, for n of 2 to 4; an n left out is not judged",
    )
    max_repeated: dict[int, float] = Field(
        default_factory=lambda: {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10},
        description="characters in n-grams that occurred before, for n of 5 to 10; an n left out is not judged",
    )
    languages: Overrides = overrides({CLUSTERED: {"max_top": {4: 0.20}, "max_repeated": {10: 0.15}}})
    """Two characters are a word: these are the rules of two words and of five."""


@FILTERS.register("gopher_repetition")
class GopherRepetition:
    """Drops by the first rule broken, named as its measure."""

    Params = RepetitionParams
    MEASURES = (
        "lines",
        "paragraphs",
        "line_characters",
        "paragraph_characters",
        *(f"top_{n}" for n in _TOP),
        *(f"repeated_{n}" for n in _REPEATED),
    )

    def __init__(self, params: RepetitionParams) -> None:
        self._limits = params.prepared(_limits)

    def judge(self, document: Document) -> Verdict:
        measured: dict[str, float] = {}
        limits = self._limits(document.language)
        # What breaks a rule is dropped before the rest is counted: n-grams cost more than all else here.
        for name, value in self._measures(document):
            limit = limits.get(name)
            if limit is not None and value > limit:
                return Verdict(name, value)
            measured[name] = value
        return Verdict(measured=measured)

    def _measures(self, document: Document) -> Iterator[tuple[str, float]]:
        characters = max(len(document.text), 1)
        share, repeated = _again([line for line in document.text.split("\n") if line])
        paragraph_share, in_paragraphs = _again(_PARAGRAPH.split(document.text))
        yield "lines", share
        yield "paragraphs", paragraph_share
        yield "line_characters", repeated / characters
        yield "paragraph_characters", in_paragraphs / characters
        # What is compiled is loaded where it is used, not by those who only read the configuration.
        from tasks.text.ngrams import Repeats

        tokens = document.tokens
        repeats = Repeats(tokens.ids, tokens.lengths)
        for n, places, grams in repeats.of_sizes(range(_TOP[0], _REPEATED[-1] + 1)):
            if n in _TOP:
                yield f"top_{n}", repeats.top_characters(n, places, grams) / characters
            else:
                yield f"repeated_{n}", repeats.repeated_characters(n, places, grams) / characters


def _limits(params: RepetitionParams) -> dict[str, float | None]:
    """The most of each measure."""
    return {
        "lines": params.max_lines,
        "paragraphs": params.max_paragraphs,
        "line_characters": params.max_line_characters,
        "paragraph_characters": params.max_paragraph_characters,
        **{f"top_{n}": limit for n, limit in params.max_top.items()},
        **{f"repeated_{n}": limit for n, limit in params.max_repeated.items()},
    }


def _again(parts: Iterable[str]) -> tuple[float, int]:
    """The share of parts that stood there before, and their characters."""
    seen: set[str] = set()
    count = repeated = characters = 0
    for part in parts:
        count += 1
        if part in seen:
            repeated += 1
            characters += len(part)
        else:
            seen.add(part)
    return repeated / max(count, 1), characters
