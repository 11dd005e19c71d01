"""Does the text read like prose? The quality rules of Gopher.

Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", appendix
A1.1, table A1. The defaults are the paper's. Words are runs of non-space.
"""

from __future__ import annotations

import re

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.section import Section

STOP_WORDS: dict[str, tuple[str, ...]] = {"en": ("the", "be", "to", "of", "and", "that", "have", "with")}
"""The paper's English words; other languages are added in the YAML, and have no such rule without."""

_BULLETS = ("•", "‣", "▪", "●", "◦", "-", "*", "\u2013")
_ELLIPSES = ("...", "…")
_LETTER = re.compile(r"[^\W\d_]")


class QualityParams(Section):
    """``clean.filters: [{gopher_quality: {min_words: 50}}]``; a rule set to null is off."""

    min_words: int | None = Field(50, ge=0, description="runs of non-space")
    max_words: int | None = Field(100_000, ge=1, description="runs of non-space")
    min_mean_word_length: float | None = Field(3, description="characters")
    max_mean_word_length: float | None = Field(10, description="characters")
    max_symbol_ratio: float | None = Field(0.1, ge=0, description="`#` or ellipses for each word")
    max_bullet_lines: float | None = Field(0.9, ge=0, le=1, description="share of lines that begin with a bullet")
    max_ellipsis_lines: float | None = Field(0.3, ge=0, le=1, description="share of lines that end with an ellipsis")
    min_alphabetic_words: float | None = Field(0.8, ge=0, le=1, description="share of words with a letter in them")
    min_stop_words: int | None = Field(2, ge=0, description="different stop words of the text's language")
    stop_words: dict[str, tuple[str, ...]] = Field(
        default_factory=lambda: dict(STOP_WORDS), description="by language; one without any has no such rule"
    )


@FILTERS.register("gopher_quality")
class GopherQuality:
    """Drops by the first rule broken, named as its measure."""

    Params = QualityParams
    MEASURES = (
        "words",
        "mean_word_length",
        "symbol_ratio",
        "bullet_lines",
        "ellipsis_lines",
        "alphabetic_words",
        "stop_words",
    )

    def __init__(self, params: QualityParams) -> None:
        self._stop_words = {language: frozenset(words) for language, words in params.stop_words.items()}
        self._min_stop_words = params.min_stop_words
        self._ranges: dict[str, tuple[float | None, float | None]] = {
            "words": (params.min_words, params.max_words),
            "mean_word_length": (params.min_mean_word_length, params.max_mean_word_length),
            "symbol_ratio": (None, params.max_symbol_ratio),
            "bullet_lines": (None, params.max_bullet_lines),
            "ellipsis_lines": (None, params.max_ellipsis_lines),
            "alphabetic_words": (params.min_alphabetic_words, None),
        }

    def judge(self, document: Document) -> Verdict:
        measured = self._measure(document)
        for name, (low, high) in self._ranges.items():
            value = measured[name]
            if (low is not None and value < low) or (high is not None and value > high):
                return Verdict(name, value)
        enough = self._min_stop_words
        if enough is not None and document.language in self._stop_words and measured["stop_words"] < enough:
            return Verdict("stop_words", measured["stop_words"])
        return Verdict(measured=measured)

    def _measure(self, document: Document) -> dict[str, float]:
        text, words, lines = document.text, document.words, document.lines
        count = max(len(words), 1)
        symbols = max(text.count("#"), text.count("...") + text.count("…"))
        mixed = [word for word in words if not word.isalpha()]
        lettered = len(words) - len(mixed) + sum(1 for word in mixed if _LETTER.search(word))
        known = self._stop_words.get(document.language, frozenset())
        return {
            "words": len(words),
            "mean_word_length": sum(map(len, words)) / count,
            "symbol_ratio": symbols / count,
            "bullet_lines": sum(1 for line in lines if line.startswith(_BULLETS)) / max(len(lines), 1),
            "ellipsis_lines": sum(1 for line in lines if line.endswith(_ELLIPSES)) / max(len(lines), 1),
            "alphabetic_words": lettered / count,
            "stop_words": len(known.intersection(words)) if known else 0.0,
        }
