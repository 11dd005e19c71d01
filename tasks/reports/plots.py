"""The report's plots, as PNG files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from tasks.judging.base import CLASSES, Measure
from tasks.reports.colours import CANDIDATE, CHAMPION, GRID, INK, SOFT, TEST
from tasks.reports.history import PastRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tasks.training.metrics import Pairs

MOST_CLASSES = 30
"""Classes that a plot shows; a matrix keeps the most frequent, the bars the weakest."""

_OTHER = "(other)"
_STYLE: Mapping[str, Any] = {"fontsize": 9, "color": INK}


def confusion(pairs: Pairs, path: Path) -> Path:
    """The confusion matrix: each row is one true class, coloured by its share of predictions."""
    labels, counts = _matrix(pairs)
    size = max(4.6, 0.42 * len(labels) + 2.2)
    figure = Figure(figsize=(size + 0.8, size), dpi=110, layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor", **_STYLE)
    axes.set_yticks(range(len(labels)), labels, **_STYLE)
    axes.set_xlabel("predicted", color=SOFT)
    axes.set_ylabel("true", color=SOFT)
    for row, column in zip(*np.nonzero(counts), strict=True):
        dark = shares[row, column] > 0.55
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark else INK,
        )
    bar = figure.colorbar(image, ax=axes, shrink=0.7, aspect=30)
    bar.set_label("share of the true class", color=SOFT)
    bar.outline.set_visible(False)
    bare(axes)
    return save(figure, path)


def classes(candidate: Mapping[str, Any], champion: Mapping[str, Any] | None, path: Path) -> Path:
    """F1 of each class as bars, the weakest first, with the champion's as marks."""
    weakest = sorted(candidate, key=lambda label: (candidate[label]["f1"], label))[:MOST_CLASSES]
    figure = Figure(figsize=(8.2, max(2.4, 0.3 * len(weakest) + 1.2)), dpi=110, layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(weakest))
    values = [candidate[label]["f1"] for label in weakest]
    axes.barh(places, values, height=0.62, color=CANDIDATE, label="this run", zorder=2)
    if champion:
        known = [(i, champion[label]["f1"]) for i, label in enumerate(weakest) if label in champion]
        axes.scatter(
            [f1 for _, f1 in known],
            [i for i, _ in known],
            marker="D",
            s=26,
            color=CHAMPION,
            edgecolors="white",
            linewidths=0.7,
            label="champion",
            zorder=3,
            clip_on=False,
        )
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=9, labelcolor=INK)
    for place, value in enumerate(values):
        axes.text(1.03, place, f"{value:.2f}", va="center", **_STYLE)
    axes.set_yticks(places, [f"{label}  ({candidate[label]['support']:,})" for label in weakest], **_STYLE)
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.set_xlabel("F1 on validation (rows of the class in brackets)", color=SOFT)
    axes.grid(axis="x", color=GRID, zorder=0)
    bare(axes)
    return save(figure, path)


def history(runs: Sequence[PastRun], path: Path, measure: Measure = CLASSES[0]) -> Path:
    """The leading measure of each run on validation and test, oldest first; the last is this run."""
    figure = Figure(figsize=(8.2, 2.9), dpi=110, layout="constrained")
    axes = figure.subplots()
    places = range(len(runs))
    for split, colour in (("validation", CANDIDATE), ("test", TEST)):
        values = [getattr(run, split).get(measure.name) for run in runs]
        known = [(i, value) for i, value in zip(places, values, strict=True) if value is not None]
        if known:
            axes.plot(*zip(*known, strict=True), color=colour, marker="o", markersize=5, linewidth=1.8, label=split)
    if measure.share:
        both = [each.get(measure.name) for run in runs for each in (run.validation, run.test)]
        axes.set_ylim(max(0.0, min(value for value in both if value is not None) - 0.1), 1.0)
    axes.set_xlim(-0.5, max(len(runs) - 0.5, 0.5))
    axes.set_xticks(places, [f"{run.day}\n{run.run[:8]}".strip() for run in runs], rotation=0, fontsize=8, color=INK)
    if len(runs) > 10:
        axes.set_xticks([i for i in places if (len(runs) - 1 - i) % (len(runs) // 8) == 0])
    axes.set_ylabel(measure.title, color=SOFT)
    axes.grid(axis="y", color=GRID)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=9, labelcolor=INK)
    bare(axes)
    return save(figure, path)


def curves(epochs: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Loss and each metric by epoch: on train over all workers, each worker's own (thin), and on validation."""
    names = [name for name in epochs[0] if name not in ("epoch", "step", "validation", "workers")]
    figure = Figure(figsize=(8.2, 2.9), dpi=110, layout="constrained")
    places = [epoch["epoch"] for epoch in epochs]
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for worker in range(max(len(epoch["workers"]) for epoch in epochs)):
            own = [(e["epoch"], e["workers"][worker][name]) for e in epochs if name in _worker(e, worker)]
            if own:
                axes.plot(*zip(*own, strict=True), color=CANDIDATE, linewidth=0.6, alpha=0.5)
        axes.plot(places, [epoch[name] for epoch in epochs], color=CANDIDATE, linewidth=1.8, label="train")
        judged = [(epoch["epoch"], epoch["validation"][name]) for epoch in epochs if name in epoch["validation"]]
        if judged:
            axes.plot(*zip(*judged, strict=True), color=CHAMPION, linewidth=1.8, label="validation")
        axes.set_title(name, fontsize=9, color=INK, loc="right")
        axes.set_xlabel("epoch", color=SOFT)
        axes.grid(axis="y", color=GRID)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=9, labelcolor=INK)
        bare(axes)
    return save(figure, path)


def residuals(said: np.ndarray, left: np.ndarray, path: Path) -> Path:
    """What is left of the truth, by what was said; and how it is spread, beside it."""
    figure = Figure(figsize=(8.2, 3.4), dpi=110, layout="constrained")
    axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    axes.scatter(said, left, s=9, color=CANDIDATE, alpha=0.45, linewidths=0)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.set_xlabel("predicted", color=SOFT)
    axes.set_ylabel("truth less prediction", color=SOFT)
    beside.hist(left, bins=31, orientation="horizontal", color=CANDIDATE)
    beside.set_xlabel("rows", color=SOFT)
    for each in (axes, beside):
        each.grid(axis="y", color=GRID)
        bare(each)
    return save(figure, path)


def _worker(epoch: Mapping[str, Any], worker: int) -> Mapping[str, float]:
    """What one worker measured in an epoch; empty if there were fewer."""
    workers: Sequence[Mapping[str, float]] = epoch["workers"]
    return workers[worker] if worker < len(workers) else {}


def _matrix(pairs: Pairs) -> tuple[list[str], np.ndarray]:
    seen: Counter[str] = Counter()
    for (true, guess), n in pairs.items():
        seen[true] += n
        seen[guess] += 0
    ranked = sorted(seen, key=lambda label: (-seen[label], label))
    told = sorted(ranked if len(ranked) <= MOST_CLASSES else ranked[: MOST_CLASSES - 1])
    labels = told if len(told) == len(ranked) else [*told, _OTHER]
    place = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for (true, guess), n in pairs.items():
        counts[place.get(true, len(told)), place.get(guess, len(told))] += n
    return labels, counts


def bare(axes: Axes) -> None:
    """Take off frame and ticks."""
    axes.tick_params(length=0, labelcolor=INK)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG whose bytes are the same for the same picture."""
    figure.savefig(path, metadata={"Software": None})
    return path
