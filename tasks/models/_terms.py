"""From text to terms: the one function that counting, fitting and predicting all go through.

It splits as scikit-learn's ``TfidfVectorizer`` does (lower case, ``\\b\\w\\w+\\b`` for words, padded words for
characters), without importing it: counting a shard should not cost seconds of start-up. Scripts without spaces
are divided into words first (``tasks.models._words``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.models._words import words


@dataclass(frozen=True, slots=True)
class Analysis:
    """How a text is cut into terms: n-grams of words, or of the characters within each word."""

    analyzer: str = "word"
    ngrams: tuple[int, int] = (1, 1)

    def terms(self, text: str) -> list[str]:
        """The terms of a text, as often as they occur."""
        return self._in_words(text.lower()) if self.analyzer == "word" else self._characters(text.lower())

    def _in_words(self, text: str) -> list[str]:
        found = words(text)
        low, high = self.ngrams
        if high == 1:
            return found
        return [" ".join(found[i : i + n]) for n in range(low, high + 1) for i in range(len(found) - n + 1)]

    def _characters(self, text: str) -> list[str]:
        terms: list[str] = []
        low, high = self.ngrams
        for word in text.split():
            padded = f" {word} "
            for n in range(low, high + 1):
                terms.extend(padded[i : i + n] for i in range(max(len(padded) - n + 1, 1)))
                if n >= len(padded):
                    break  # longer n-grams would be this whole word again
        return terms


def document_frequencies(texts: Iterable[str], analysis: Analysis) -> Counter[str]:
    """In how many texts each term occurs. Memory grows with the distinct terms, not with the texts."""
    frequencies: Counter[str] = Counter()
    for text in texts:
        frequencies.update(set(analysis.terms(text)))
    return frequencies
