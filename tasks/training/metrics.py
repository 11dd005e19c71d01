"""Classification metrics from counted (true, predicted) pairs, so that nothing but counts is held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

Pairs = Counter[tuple[str, str]]
"""How many rows of each (true label, predicted label)."""

MAX_SLICES = 50
"""Values of a slice that are told apart, by rows; the rest are one slice, ``(other)``."""


def metrics_of(pairs: Pairs) -> dict[str, Any]:
    """``rows``, ``accuracy``, ``macro_f1``, ``majority`` and ``per_class`` of one split; None without rows.

    ``majority`` is the share of the most frequent label: the accuracy of always saying it.
    Only labels that occur in the split count as classes: so two models are compared over the same ones,
    and ``macro_f1`` is scikit-learn's ``f1_score(average="macro", labels=<those>)``.
    """
    rows = sum(pairs.values())
    per_class = _per_class(pairs)
    return {
        "rows": rows,
        "accuracy": sum(n for (true, guess), n in pairs.items() if true == guess) / rows if rows else None,
        "macro_f1": sum(c["f1"] for c in per_class.values()) / len(per_class) if rows else None,
        "majority": max(c["support"] for c in per_class.values()) / rows if rows else None,
        "per_class": per_class,
    }


def slice_metrics(slices: Mapping[str, Pairs]) -> dict[str, dict[str, Any]]:
    """``rows``, ``accuracy`` and ``macro_f1`` of each value of one slice, the values with most rows first."""
    ranked = sorted(slices, key=lambda value: (-slices[value].total(), value))
    told = {value: slices[value] for value in ranked[:MAX_SLICES]}
    if len(ranked) > MAX_SLICES:
        told["(other)"] = sum((slices[value] for value in ranked[MAX_SLICES:]), Counter())
    metrics = {value: metrics_of(pairs) for value, pairs in told.items()}
    return {value: {key: m[key] for key in ("rows", "accuracy", "macro_f1")} for value, m in metrics.items()}


def confusions(pairs: Pairs) -> list[tuple[str, str, int]]:
    """(true, predicted, rows) of every kind of error, the most frequent first."""
    wrong = [(true, guess, n) for (true, guess), n in pairs.items() if true != guess]
    return sorted(wrong, key=lambda item: (-item[2], item[0], item[1]))


def _per_class(pairs: Pairs) -> dict[str, dict[str, Any]]:
    support: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    for (true, guess), n in pairs.items():
        support[true] += n
        predicted[guess] += n
    result: dict[str, dict[str, Any]] = {}
    for label in sorted(support):
        hits = pairs[label, label]
        result[label] = {
            "precision": hits / predicted[label] if predicted[label] else 0.0,
            "recall": hits / support[label],
            "f1": 2 * hits / (support[label] + predicted[label]),
            "support": support[label],
        }
    return result
