"""Does the text read like prose? The quality rules of Gopher.

Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", appendix
A1.1, table A1. The defaults are the paper's. Words and marks are those of ``tasks.text.words``; a mark is
no word of the text's length, and one of the words that shares are of.
"""

from __future__ import annotations

from pydantic import Field

from tasks.filters.base import FILTERS, Document, Verdict
from tasks.filters.languages import ByLanguage, Overrides, overrides
from tasks.filters.stopwords import STOP_WORDS
from tasks.text.segment import CLUSTERED

_ELLIPSES = ("...", "…")

_SPACELESS: dict[str | tuple[str, ...], dict[str, float | None]] = {
    ("zh", "ja", *CLUSTERED): {"min_mean_word_length": 1.0, "min_alphabetic_words": 0.7},
    CLUSTERED: {"min_words": 100, "max_words": 200_000},
}
"""Words of two characters are long in these, and marks as many as in any language: more for each character. Where a
character stands for a word, there are twice as many."""


class QualityParams(ByLanguage):
    """``clean.filters: [{gopher_quality: {min_words: 50}}]``; a rule set to null is off."""

    min_words: int | None = Field(50, ge=0, description="words that are more than marks")
    max_words: int | None = Field(100_000, ge=1, description="words that are more than marks")
    min_mean_word_length: float | None = Field(3, description="characters")
    max_mean_word_length: float | None = Field(10, description="characters")
    max_symbol_ratio: float | None = Field(0.1, ge=0, description="`#` or ellipses for each word")
    max_bullet_lines: float | None = Field(0.9, ge=0, le=1, description="share of lines that begin with a bullet")
    max_ellipsis_lines: float | None = Field(0.3, ge=0, le=1, description="share of lines that end with an ellipsis")
    min_alphabetic_words: float | None = Field(
        0.8, ge=0, le=1, description="share of words, marks included, with a letter in them"
    )
    min_stop_words: int | None = Field(2, ge=0, description="different stop words of the text's language")
    bullets: tuple[str, ...] = Field(("•", "‣", "▪", "●", "◦", "-", "*", "\u2013"), description="what counts as one")
    stop_words: dict[str, tuple[str, ...]] = Field(
        default_factory=lambda: dict(STOP_WORDS), description="by language; one without any has no such rule"
    )
    languages: Overrides = overrides(_SPACELESS)


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
        self._params = params.prepared(lambda each: each)

    @staticmethod
    def asks(params: QualityParams, measure: str, language: str) -> bool:
        """Whether the rule of a measure holds for a language."""
        return measure != "stop_words" or language in params.stop_words

    def judge(self, document: Document) -> Verdict:
        params = self._params(document.language)
        measured = _measure(document, params)
        for name, value in measured.items():
            if not self.asks(params, name, document.language):
                continue
            low, high = getattr(params, f"min_{name}", None), getattr(params, f"max_{name}", None)
            if (low is not None and value < low) or (high is not None and value > high):
                return Verdict(name, value)
        return Verdict(measured=measured)


def _measure(document: Document, params: QualityParams) -> dict[str, float]:
    text, tokens = document.text, document.tokens
    lines = text.split("\n")
    count = max(len(tokens), 1)
    words = ~tokens.marks
    symbols = max(text.count("#"), text.count("...") + text.count("…"))
    bullets = sum(1 for line in lines if line.lstrip().startswith(params.bullets))
    return {
        "words": int(words.sum()),
        "mean_word_length": float(tokens.lengths[words].mean()) if words.any() else 0.0,
        "symbol_ratio": symbols / count,
        "bullet_lines": bullets / len(lines),
        "ellipsis_lines": sum(1 for line in lines if line.endswith(_ELLIPSES)) / len(lines),
        "alphabetic_words": int(tokens.lettered.sum()) / count,
        "stop_words": tokens.occurring(params.stop_words.get(document.language, ())),
    }
