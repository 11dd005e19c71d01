"""Plots of partitions, as SVG ready for a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from tasks.reports.colours import CANDIDATE, SERIES, SOFT
from tasks.reports.statistics import EDGES
from tasks.reports.svg import Drawing, decades, ticks, width_of

_WIDE, _HALF = 760, 460
_LEFT, _RIGHT, _BOTTOM = 66, 12, 26
_BARS = 15
_BAR = 24
_NAME = 30


def lengths(counts: Sequence[int]) -> Markup:
    """How many documents are how long, over bins of ``EDGES``."""
    drawing, top = Drawing(_WIDE, 240, "documents by their length"), 10
    filled = [place for place, count in enumerate(counts) if count]
    first, last = max(filled[0] - 1, 0) if filled else 0, min(filled[-1] + 1, len(EDGES)) if filled else len(EDGES)
    scale = _Heights(max(counts, default=0), top, drawing.height - _BOTTOM - 14)
    drawing.axis([(scale.at(each), f"{each:,g}") for each in scale.ticks], _LEFT, _WIDE - _RIGHT)
    wide = (_WIDE - _RIGHT - _LEFT) / (last - first + 1)
    for place in range(first, last + 1):
        x = _LEFT + (place - first) * wide
        if counts[place]:
            low, high = EDGES[place - 1] if place else 0, EDGES[place] if place < len(EDGES) else math.inf
            told = f"{low:,} to {high:,} characters: {counts[place]:,}"
            drawing.bar(x, scale.at(counts[place]), wide - 1, scale.height(counts[place]), CANDIDATE, told)
        if place < len(EDGES) and place % 8 == 0:  # a power of ten
            said = f"{EDGES[place]:,}"
            middle = min(x + wide, _WIDE - width_of(said) / 2)
            drawing.text(middle, drawing.height - _BOTTOM + 2, said, anchor="middle", colour=SOFT)
    drawing.text((_LEFT + _WIDE) / 2, drawing.height - 4, "characters", anchor="middle", colour=SOFT)
    return drawing.markup()


def bars(parts: Sequence[tuple[str, int]], total: int, colour: str = CANDIDATE) -> Markup:
    """The most frequent values with their numbers, the rest of ``total`` as one."""
    told = [(name or "(none)", count) for name, count in parts[:_BARS]]
    if (rest := total - sum(count for _, count in told)) > 0:
        told.append(("(other)", rest))
    drawing = Drawing(_HALF, _BAR * max(len(told), 1) + 4, "documents by value")
    left = max((width_of(_short(name)) for name, _ in told), default=0) + 14
    most = max((count for _, count in told), default=1) or 1
    room = _HALF - left - width_of(f"{most:,}") - 14
    for place, (name, count) in enumerate(told):
        y, long = place * _BAR + 3, room * count / most
        shown = f"{name}: {count:,} ({count / max(total, 1):.1%})"
        drawing.text(left - 8, y + 13, _short(name), anchor="end", title=name)
        drawing.bar(left, y, long, _BAR - 7, colour, shown)
        drawing.text(left + long + 6, y + 13, f"{count:,}", colour=SOFT)
    return drawing.markup()


def lines(
    days: Sequence[str], series: Mapping[str, Sequence[float | None]], label: str, *, logarithmic: bool = False
) -> Markup:
    """Numbers day by day; a gap where a day has none."""
    drawing = Drawing(_WIDE, 230, label)
    top = drawing.legend([_short(name if len(series) > 1 else label) for name in series], SERIES, _LEFT)
    known = [value for values in series.values() for value in values if value is not None]
    scale = _Heights(max(known, default=0), top, drawing.height - _BOTTOM)
    if logarithmic and (above := [value for value in known if value > 0]):
        scale = _Heights(max(above), top, drawing.height - _BOTTOM, least=min(above))
    drawing.axis(
        [(scale.at(each), f"{each:,g}" if each < 1e6 else f"{each / 1e6:,g} M") for each in scale.ticks],
        _LEFT,
        _WIDE - _RIGHT,
    )
    places = _places(drawing, days)
    for (name, values), colour in zip(series.items(), SERIES, strict=False):
        for run in _runs(values):
            drawing.line([(places[place], scale.at(value)) for place, value in run], colour)
        for place, value in (point for run in _runs(values) for point in run):
            drawing.dot(places[place], scale.at(value), colour, f"{days[place]}, {name}: {value:,}")
    return drawing.markup()


def stacked(days: Sequence[str], parts: Mapping[str, Sequence[float]], label: str) -> Markup:
    """Shares of each day, one upon the other."""
    drawing = Drawing(_WIDE, 230, label)
    top = drawing.legend([_short(name) for name in parts], SERIES, _LEFT)
    sums = [sum(values[place] for values in parts.values()) for place in range(len(days))]
    scale = _Heights(max(sums, default=0), top, drawing.height - _BOTTOM)
    drawing.axis([(scale.at(each), f"{100 * each:.3g} %") for each in scale.ticks], _LEFT, _WIDE - _RIGHT)
    places = _places(drawing, days)
    wide = min(0.8 * (_WIDE - _RIGHT - _LEFT) / max(len(days), 1), 60)
    base = [0.0] * len(days)
    for (name, values), colour in zip(parts.items(), SERIES, strict=False):
        for place, value in enumerate(values):
            if value:
                told, y = f"{days[place]}, {name}: {value:.1%}", scale.at(base[place] + value)
                drawing.bar(places[place] - wide / 2, y, wide, scale.at(base[place]) - y, colour, told)
        base = [low + value for low, value in zip(base, values, strict=True)]
    return drawing.markup()


class _Heights:
    """Where a value stands between ``top`` and ``bottom``: from 0 on, or from ``least`` on by its logarithm."""

    def __init__(self, most: float, top: float, bottom: float, *, least: float | None = None) -> None:
        self._top, self._bottom, self._logarithmic = top, bottom, least is not None
        self.ticks = ticks(most) if least is None else decades(least, most)

    def at(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        if self._logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(max(value, low))
        return self._bottom - (value - low) / (high - low) * (self._bottom - self._top)

    def height(self, value: float) -> float:
        return self._bottom - self.at(value)


def _places(drawing: Drawing, days: Sequence[str]) -> list[float]:
    """Where each day stands; as many dates are written as have room."""
    room = (_WIDE - _RIGHT - _LEFT) / max(len(days), 4)  # a few days do not fill the page
    begin = (_WIDE - _RIGHT + _LEFT - room * len(days)) / 2
    places = [begin + room * (place + 0.5) for place in range(len(days))]
    step = max(-(-len(days) // 7), 1)
    for place, (x, day) in enumerate(zip(places, days, strict=True)):
        if (len(days) - 1 - place) % step == 0:
            x = min(x, _WIDE - width_of(day, 11) / 2)
            drawing.text(x, drawing.height - 6, day, anchor="middle", size=11, colour=SOFT)
    return places


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Places and values of those that follow each other without a gap."""
    runs: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values):
        if value is not None:
            runs[-1].append((place, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
