"""What a partition is made of, in numbers: one pass over its columns, in memory that no partition outgrows."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.cleaning.keys import scan

EDGES = tuple(round(10 ** (power / 8)) for power in range(8, 57))
"""Of the bins of lengths, in characters: eight to a factor of ten, from 10 to 10 million."""

NGRAM = 4
_BYTES_PER_TOKEN = 4
"""What the byte-pair vocabularies of language models come to on prose; of other texts and scripts it is a guess."""
_SAMPLE = 400
_WORDS = 150
"""Of each end of a sampled text: what pages of a site share stands there."""
_DISTINCT = 50_000
_SHOWN = 25


class Uncountable(Exception):
    """A partition whose numbers would say nothing: a column is missing, of another type, or without any value."""


class Statistics:
    """Takes a partition's batches of documents, and tells what they are made of.

    Whether a value may be missing is for gate clean to say: what is there is counted, and what is not is left out.

    >>> found = Statistics()
    >>> found.add(batch)  # with COLUMNS
    >>> found.numbers()["documents"]
    """

    COLUMNS = ("uid", "text", "language", "length", "group", "label")

    def __init__(self) -> None:
        self._documents = self._characters = self._bytes = self._words = 0
        self._lengths = np.zeros(len(EDGES) + 1, np.int64)
        self._counts = {name: _Frequent(_DISTINCT) for name in ("language", "group", "label")}
        self._sample: list[tuple[int, str]] = []

    def add(self, documents: pa.RecordBatch) -> None:
        """Count a batch of documents."""
        self._documents += documents.num_rows
        lengths = documents.column("length").drop_null().to_numpy()
        self._characters += int(lengths.sum())
        self._lengths += np.bincount(np.searchsorted(EDGES, lengths, side="right"), minlength=len(EDGES) + 1)
        text = documents.column("text").drop_null()
        self._bytes += pc.sum(pc.binary_length(text)).as_py() or 0
        # Runs of space are what a cleaned text has none of, so their number is that of the words.
        self._words += (pc.sum(pc.count_substring_regex(text, r"\s+")).as_py() or 0) + len(text)
        for name, counter in self._counts.items():
            for value in pc.value_counts(documents.column(name)).to_pylist():
                counter.add(value["values"] or "", value["counts"])
        self._draw(documents)

    def numbers(self) -> dict[str, Any]:
        """Counts, distributions and frequent n-grams, as JSON has them.

        Raises:
            Uncountable: there are documents, but no length of any, or none to draw a sample of.
        """
        if self._documents and not self._lengths.any():
            raise Uncountable("no document has a value in column length")
        if self._documents and not self._sample:
            raise Uncountable("no document has a text and an id in columns text and uid")
        return {
            "documents": self._documents,
            "characters": self._characters,
            "bytes": self._bytes,
            "words": self._words,
            "tokens": self._bytes // _BYTES_PER_TOKEN,
            "length": {name: self._quantile(share) for name, share in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9))},
            "lengths": self._lengths.tolist(),
            "languages": self._counts["language"].top(_SHOWN),
            "domains": self._counts["group"].top(_SHOWN),
            "domain_count": len(self._counts["group"]),
            "labels": self._counts["label"].top(_SHOWN),
            "ngrams": self._ngrams(),
            "sampled": len(self._sample),
        }

    def _draw(self, documents: pa.RecordBatch) -> None:
        # The smallest uids are a fair sample, and the same whatever the order of the rows.
        whole = pc.and_(
            pc.match_substring_regex(documents.column("uid"), "^[0-9a-f]+$"), pc.is_valid(documents.column("text"))
        )
        documents = documents.filter(whole)  # and not where it is null
        for place, uid in enumerate(documents.column("uid").to_pylist()):
            key = -int(uid, 16)
            if len(self._sample) < _SAMPLE:
                heapq.heappush(self._sample, (key, _ends(documents.column("text")[place].as_py())))
            elif key > self._sample[0][0]:
                heapq.heapreplace(self._sample, (key, _ends(documents.column("text")[place].as_py())))

    def _ngrams(self) -> list[tuple[str, int]]:
        """The word n-grams that most of the sampled documents have, with their number; none of a single document."""
        found: Counter[str] = Counter()
        for _, text in self._sample:
            words = text.split()
            found.update({" ".join(words[place : place + NGRAM]) for place in range(len(words) - NGRAM + 1)})
        common = [(gram, count) for gram, count in found.items() if count > 1]
        return sorted(common, key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]

    def _quantile(self, share: float) -> int | None:
        """About the length that so many documents do not exceed: those of a bin are taken to lie evenly in it."""
        below = np.cumsum(self._lengths)
        if not (known := int(below[-1])):
            return None
        place = min(int(np.searchsorted(below, share * known)), len(EDGES) - 1)
        low, count = EDGES[place - 1] if place else 1, int(self._lengths[place])
        within = (share * known - int(below[place]) + count) / count if count else 1.0
        return round(low * math.pow(EDGES[place] / low, min(within, 1.0)))


class _Frequent:
    """Counts values, and forgets the rare when there are too many: counts of frequent ones stay right."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, value: str, count: int) -> None:
        self._counts[value] += count
        if len(self._counts) > 2 * self._most:
            self._counts = Counter(dict(self._counts.most_common(self._most)))

    def top(self, count: int) -> list[tuple[str, int]]:
        return sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))[:count]


def _ends(text: str) -> str:
    words = text[: 12 * _WORDS].lower().split()[:_WORDS]
    return " ".join(words if len(text) <= 12 * _WORDS else [*words, *text[-12 * _WORDS :].lower().split()[-_WORDS:]])


def measure(paths: Sequence[Path]) -> dict[str, Any]:
    """The numbers of a partition's document files.

    Raises:
        Uncountable: names the column that a file lacks or has of another type, or that is without any value.
    """
    from tasks.cleaning import schema
    from tasks.config.clean import Clean

    expected, found = schema.documents(Clean()), Statistics()
    for path in paths:
        there = pq.read_schema(path)
        for name in Statistics.COLUMNS:
            kind = str(there.field(name).type).removeprefix("large_") if name in there.names else "missing"
            if kind != (wanted := str(expected.field(name).type)):
                raise Uncountable(f"column {name} of {path.name} is {kind}, expected {wanted}")
    for batch in scan(paths, Statistics.COLUMNS):
        found.add(batch)
    return found.numbers()
