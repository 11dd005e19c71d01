"""A picture as SVG within a page, made without a plotting library: its import takes longer than counting a night.

Texts are escaped: what a picture names comes from the web.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from markupsafe import Markup

from tasks.reports.colours import GRID, INK, SOFT

_LETTER = 0.56
"""About so wide is a letter, of its size."""
_LINE = 18
"""So high is a line of a legend."""


class Drawing:
    """Elements at pixels from the top left corner; ``title`` is what the pointer is told over one."""

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width, self.height = width, height
        self._label = label
        self._elements: list[str] = []

    def bar(self, x: float, y: float, width: float, height: float, colour: str, title: str = "") -> None:
        """A filled rectangle."""
        box = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
        self._add("rect", f'{box} fill="{colour}"', title)

    def rule(self, y: float, left: float, right: float) -> None:
        """A line of the grid."""
        self._add("line", f'x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"')

    def line(self, points: Iterable[tuple[float, float]], colour: str) -> None:
        """A line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._add("polyline", f'points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"')

    def dot(self, x: float, y: float, colour: str, title: str = "") -> None:
        """A point of a line."""
        self._add("circle", f'cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"', title)

    def text(
        self,
        x: float,
        y: float,
        said: str,
        *,
        anchor: str = "start",
        size: int = 12,
        colour: str = INK,
        title: str = "",
    ) -> None:
        """A line of text; ``anchor``: start, middle or end of it stands at x."""
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"'
        self._add("text", place, title, escape(said))

    def legend(self, names: Sequence[str], colours: Sequence[str], left: float) -> float:
        """Which colour is which, at the top, in as many lines as that takes; the y from which on there is room."""
        x, y = left, 3.0
        for name, colour in zip(names, colours, strict=False):
            wide = 15 + width_of(name)
            if x > left and x + wide > self.width:
                x, y = left, y + _LINE
            self.bar(x, y, 10, 10, colour)
            self.text(x + 15, y + 9, name)
            x += wide + 16
        return y + _LINE + 5

    def axis(self, levels: Sequence[tuple[float, str]], left: float, right: float) -> None:
        """Horizontal lines at heights, each with what it means at its left."""
        for y, said in levels:
            self.rule(y, left, right)
            self.text(left - 8, y + 4, said, anchor="end", colour=SOFT)

    def markup(self) -> Markup:
        """The element, ready for a page."""
        head = f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" role="img" aria-label="{escape(self._label)}"'
        return Markup(f"<svg {head}>{''.join(self._elements)}</svg>")  # every text in it is escaped

    def _add(self, name: str, attributes: str, title: str = "", said: str = "") -> None:
        told = f"<title>{escape(title)}</title>" if title else ""
        self._elements.append(f"<{name} {attributes}>{told}{said}</{name}>")


def width_of(said: str, size: int = 12) -> float:
    """About how many pixels a text is wide."""
    return len(said) * _LETTER * size


def ticks(most: float, count: int = 4) -> list[float]:
    """About so many round numbers from 0 on, the last of them at least ``most``; whole ones if that is an ``int``."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / count
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * each for each in (1, 2, 5, 10) if unit * each >= rough)
    if isinstance(most, int):  # there is no half of a document
        step = max(step, 1)
    return [step * place for place in range(math.ceil(most / step - 1e-9) + 1)]


def decades(least: float, most: float) -> list[float]:
    """Round numbers around two positive ones, by factors of 2 or 2.5, or of 10 where they lie far apart."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    parts = (1, 2, 5) if high - low <= 2 else (1,)
    found = [part * 10.0**power for power in range(low, high + 1) for part in parts]
    first = max((place for place, each in enumerate(found) if each <= least), default=0)
    last = min((place for place, each in enumerate(found) if each >= most), default=len(found) - 1)
    return found[first : max(last, first + 1) + 1]
