"""Precision and recall of the pairs that are found, against the exact Jaccard similarity of generated texts."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from tasks.near.index import Index
from tasks.near.signed import settings
from tasks.text.minhash import signatures
from tests.benchmarks.near.measure import add_partition, context_at

CLUSTER = 4
_WORDS = 50_000
_PARTITION = 20_000
_SAMPLE = 20_000


def text(number: int) -> str:
    """The text of a document: each fourth starts a cluster of four, whose others change a share of its words.

    Half of the clusters are no cluster: four texts of their own.
    """
    cluster = number // CLUSTER
    own = np.random.default_rng(number)
    base = own if cluster % 2 else np.random.default_rng(1_000_000_007 + cluster)
    # As in language, few words are frequent: squares and cubes of uniform numbers.
    words = (base.random(int(base.integers(60, 400))) ** 3 * _WORDS).astype(int)
    if cluster % 2 == 0 and number % CLUSTER:
        changed = own.random(len(words)) < own.uniform(0, 0.06)
        words[changed] = own.integers(0, _WORDS, int(changed.sum()))
    return " ".join(f"w{word}" for word in words.tolist())


def quality(documents: int, folder: Path) -> dict[str, Any]:
    """Of so many texts: which share of the pairs found is similar, and of the similar pairs found."""
    context = context_at(folder)
    near = settings(context.corpus)
    files = []
    for day, start in enumerate(range(0, documents, _PARTITION)):
        numbers = range(start, min(start + _PARTITION, documents))
        signed = [signatures([text(n) for n in numbers[i : i + 256]], near) for i in range(0, len(numbers), 256)]
        files.append(add_partition(context, day, np.concatenate(signed), folder))
    index = Index.open(context, files, folder)
    index.grow(files)
    found = {(low, high) for some in index.pairs() for low, high, _ in some.tolist()}

    rng = np.random.default_rng(0)
    clusters = documents // CLUSTER
    sample = rng.choice(clusters, min(_SAMPLE, clusters), replace=False)
    inside = [pair for c in sample.tolist() for pair in combinations(range(c * CLUSTER, (c + 1) * CLUSTER), 2)]
    similar = [pair for pair in inside if jaccard(*pair, near.ngram) >= near.threshold]
    some = sorted(found)
    judged = [some[i] for i in rng.choice(len(some), min(_SAMPLE, len(some)), replace=False)]
    exact = np.array([jaccard(*pair, near.ngram) for pair in judged])
    return {
        "texts": documents,
        "pairs_found": len(found),
        "pairs_judged": len(judged),
        "precision": round(float((exact >= near.threshold).mean()), 4),
        "precision_within_0.05": round(float((exact >= near.threshold - 0.05).mean()), 4),
        "lowest_similarity_found": round(float(exact.min()), 3),
        "similar_pairs_sampled": len(similar),
        "recall": round(sum(pair in found for pair in similar) / len(similar), 4),
        "recall_from_0.85": round(_recall(similar, found, near.ngram, near.threshold + 0.05), 4),
    }


def _recall(similar: list[tuple[int, int]], found: set[tuple[int, int]], ngram: int, least: float) -> float:
    alike = [pair for pair in similar if jaccard(*pair, ngram) >= least]
    return sum(pair in found for pair in alike) / len(alike)


def jaccard(one: int, other: int, ngram: int) -> float:
    """The exact similarity of two texts' sets of word n-grams."""
    first, second = _shingles(text(one), ngram), _shingles(text(other), ngram)
    return len(first & second) / len(first | second)


def _shingles(document: str, n: int) -> set[tuple[str, ...]]:
    words = document.split()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
