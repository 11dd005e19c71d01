"""Plots of partitions, as PNG bytes in base64, ready for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from tasks.reports.plots import CANDIDATE, CHAMPION, GRID, INK, SOFT, TEST, bare
from tasks.reports.statistics import EDGES

_BARS = 15
_COLOURS = (CANDIDATE, CHAMPION, TEST, "#8a63a8", "#b3372f", "#4aa3a2", SOFT)


def lengths(counts: Sequence[int]) -> str:
    """How many documents are how long, over bins of ``EDGES``."""
    figure, axes = _axes(8.2, 2.9)
    edges = [EDGES[0] / 10 ** (1 / 8), *EDGES, EDGES[-1] * 10 ** (1 / 8)]
    axes.bar(edges[:-1], counts, width=[b - a for a, b in pairwise(edges)], align="edge", color=CANDIDATE)
    axes.set_xscale("log")
    axes.tick_params(which="minor", length=0)
    filled = [place for place, count in enumerate(counts) if count]
    if filled:
        axes.set_xlim(edges[max(filled[0] - 1, 0)], edges[min(filled[-1] + 2, len(edges) - 1)])
    axes.set_xlabel("characters", color=SOFT)
    axes.set_ylabel("documents", color=SOFT)
    axes.grid(axis="y", color=GRID)
    return _encoded(figure)


def bars(parts: Sequence[tuple[str, int]], total: int, colour: str = CANDIDATE) -> str:
    """The most frequent values with their numbers, the rest of ``total`` as one."""
    told = [(name or "(none)", count) for name, count in parts[:_BARS]]
    if (rest := total - sum(count for _, count in told)) > 0:
        told.append(("(other)", rest))
    figure, axes = _axes(5.2, 0.28 * max(len(told), 3) + 0.5)
    places = range(len(told))
    axes.barh(places, [count for _, count in told], height=0.66, color=colour)
    for place, (_, count) in zip(places, told, strict=True):
        axes.text(count, place, f" {count:,}", va="center", fontsize=8, color=SOFT)
    axes.set_yticks(
        places, [name if len(name) <= 34 else f"{name[:33]}\N{HORIZONTAL ELLIPSIS}" for name, _ in told], fontsize=9
    )
    axes.set_ylim(max(len(told), 3) - 0.5, -0.5)  # downwards; a single bar is no thicker than many
    axes.set_xticks([])
    axes.margins(x=0.16)
    return _encoded(figure)


def lines(
    days: Sequence[str], series: Mapping[str, Sequence[float | None]], label: str, *, logarithmic: bool = False
) -> str:
    """Numbers day by day; a gap where a day has none."""
    figure, axes = _axes(8.2, 2.7)
    for (name, values), colour in zip(series.items(), _COLOURS, strict=False):
        plain = [float("nan") if value is None else value for value in values]
        axes.plot(range(len(days)), plain, color=colour, marker="o", markersize=4, linewidth=1.7, label=name)
    _days(axes, days)
    axes.set_ylabel(label, color=SOFT)
    if logarithmic and any(value for values in series.values() for value in values):
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter("{x:,.0f}")
        axes.tick_params(which="minor", length=0, labelsize=8, labelcolor=INK)
    else:
        axes.set_ylim(0, 1.1 * axes.get_ylim()[1])  # the highest point is seen whole
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", color=GRID)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=9, labelcolor=INK)
    return _encoded(figure)


def stacked(days: Sequence[str], parts: Mapping[str, Sequence[float]], label: str) -> str:
    """Shares of each day, one upon the other."""
    figure, axes = _axes(8.2, 2.7)
    base = [0.0] * len(days)
    for (name, values), colour in zip(parts.items(), _COLOURS, strict=False):
        axes.bar(range(len(days)), values, bottom=base, width=0.8, color=colour, label=name)
        base = [low + value for low, value in zip(base, values, strict=True)]
    _days(axes, days)
    axes.set_ylabel(label, color=SOFT)
    if parts:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9, labelcolor=INK)
    return _encoded(figure)


def _days(axes: Any, days: Sequence[str]) -> None:
    step = max(-(-len(days) // 7), 1)  # so many dates have room side by side
    shown = [place for place in range(len(days)) if (len(days) - 1 - place) % step == 0]
    axes.set_xticks(shown, [days[place] for place in shown], fontsize=8, color=INK)
    beside = max(4 - len(days), 0) / 2  # a few days do not fill the page
    axes.set_xlim(-0.6 - beside, len(days) - 0.4 + beside)


def _axes(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    bare(axes)
    return figure, axes


def _encoded(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return base64.b64encode(stream.getvalue()).decode()
