"""From text to terms: the one function that counting, fitting and predicting all go through.

But for the parts of compounds it splits as scikit-learn's ``TfidfVectorizer`` does (lower case, ``\\b\\w\\w+\\b`` for
words, padded words for characters), without importing it: counting a shard should not cost seconds of start-up. Scripts
without spaces are divided into words first (``tasks.models._words``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.models._tokens import Words
from tasks.models._words import words


@dataclass(frozen=True, slots=True)
class Analysis:
    """How a text is cut into terms: n-grams of words, or of the characters within each word.

    With ``parts`` a word that is a compound also counts as each word it is made of; n-grams of two and more have none.
    """

    analyzer: str = "word"
    ngrams: tuple[int, int] = (1, 1)
    parts: bool = False

    def terms(self, text: str) -> list[str]:
        """The terms of a text, as often as they occur."""
        return self._in_words(text) if self.analyzer == "word" else self._characters(text.lower())

    def _in_words(self, text: str) -> list[str]:
        low, high = self.ngrams
        # Where a small letter meets a capital is lost in lower case.
        alone = Words().terms(text) if self.parts and low == 1 else words(text.lower())
        if high == 1:
            return alone
        found = words(text.lower())
        singles = alone if low == 1 else []
        return singles + [
            " ".join(found[i : i + n]) for n in range(max(low, 2), high + 1) for i in range(len(found) - n + 1)
        ]

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
