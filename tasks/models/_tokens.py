"""From text to token ids: words and their parts in reading order, rare ones by hash."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.models._words import words

if TYPE_CHECKING:
    import numpy as np

# A number of letters is one part; so are capitals that no small letter follows (HTTPServer: HTTP, Server).
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+|[^\W\d_]+")

PADDING = 0


@dataclass(frozen=True, slots=True)
class Words:
    """Words in lower case; with ``parts``, a compound is followed by what it is made of.

    ``readCsvFile`` and ``read_csv_file`` both give ``read``, ``csv`` and ``file`` after themselves: a name that
    no other document has is understood by its parts.
    """

    parts: bool = True

    def terms(self, text: str) -> list[str]:
        """The terms of a text in their order, as often as they occur."""
        found_words = words(text)
        if not self.parts:
            return [word.lower() for word in found_words]
        terms: list[str] = []
        for word in found_words:
            terms.append(word.lower())
            if not (word.islower() and word.isalpha()):
                found = _PART.findall(word)
                if len(found) > 1:
                    terms.extend(part.lower() for part in found if len(part) > 1)
        return terms


@dataclass(frozen=True, slots=True)
class TokenIds:
    """Ids of terms: their place in the vocabulary after padding, and for all others one of ``buckets`` by hash."""

    index: Mapping[str, int]
    buckets: int

    @classmethod
    def of(cls, vocabulary: Sequence[str], buckets: int) -> TokenIds:
        """Ids 1 to len(vocabulary) are the terms, the ``buckets`` after them the rest; 0 is padding."""
        return cls({term: number for number, term in enumerate(vocabulary, start=PADDING + 1)}, buckets)

    @property
    def size(self) -> int:
        """Rows of an embedding of these ids, padding among them."""
        return len(self.index) + 1 + self.buckets

    def ids(self, terms: Sequence[str]) -> list[int]:
        """The id of each term."""
        first = len(self.index) + 1
        known = self.index.get
        return [known(term) or first + zlib.crc32(term.encode(errors="surrogatepass")) % self.buckets for term in terms]


def heaviest(places: np.ndarray, counts: np.ndarray, idf: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``most`` features of a text that weigh most, and their weights (float32), heaviest first.

    A feature weighs (1 + ln count) x idf, over the norm of them all: scikit-learn's TF-IDF with ``sublinear_tf``.
    """
    import numpy as np

    weights = (1 + np.log(counts)) * idf
    weights /= np.sqrt((weights**2).sum()) or 1.0
    order = np.lexsort((places, -weights))[:most]
    return places[order], weights[order].astype(np.float32)


def padded(rows: Sequence[Any], length: int, kind: Any) -> np.ndarray:
    """Rows of any length as an array of shape ``(rows, length)``: cut, or filled up with 0."""
    import numpy as np

    array = np.zeros((len(rows), length), kind)
    for row, given in zip(array, rows, strict=True):
        row[: len(given)] = given[:length]
    return array
