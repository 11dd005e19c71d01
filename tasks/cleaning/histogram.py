"""What a threshold does to a partition, drawn in text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.cleaning.bounds import Bound

_BINS = 12
_BAR = 40


def histogram(bound: Bound, kept: NDArray[np.float64], dropped: NDArray[np.float64]) -> list[str]:
    """Lines that show where the values lie, and how many each threshold keeps of those that were measured.

    ``kept``: of the documents; ``dropped``: of the rejects by this threshold, the only ones it measured for.
    """
    values = np.concatenate([kept, dropped])
    values = values[np.isfinite(values)]
    title = (
        f"{bound.filter}.{'min' if bound.lower else 'max'}_{bound.measure}: {_shown(bound.old)} -> {_shown(bound.new)}"
    )
    if not len(values):
        return [title, "  no document was measured"]
    before, after = (_share(values, limit, bound.lower) for limit in (bound.old, bound.new))
    lines = [f"{title}  keeps {after:.1%} of {len(values):,} documents (now {before:.1%})"]
    edges = _edges(values, [limit for limit in (bound.old, bound.new) if limit is not None])
    counts, _ = np.histogram(values, edges)
    longest = max(int(counts.max()), 1)
    for low, high, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True):
        inside = _share(np.array([(low + high) / 2]), bound.new, bound.lower) > 0
        bar = ("#" if inside else ".") * -(-count * _BAR // longest)
        lines.append(f"  {_shown(low):>9} - {_shown(high):>9} {bar:<{_BAR}} {count:>9,}{'' if inside else '  dropped'}")
    return lines


def _share(values: NDArray[np.float64], limit: float | None, lower: bool) -> float:
    if limit is None:
        return 1.0
    return float(np.mean(values >= limit if lower else values <= limit))


def _edges(values: NDArray[np.float64], limits: list[float]) -> NDArray[np.float64]:
    """Bins of equal width up to the 99th percentile, one for the rest; thresholds are edges, so that none is cut."""
    low, high = float(values.min()), float(values.max())
    most = max([float(np.quantile(values, 0.99)), *(limit for limit in limits if limit <= high)])
    edges = np.linspace(low, most, _BINS + 1) if most > low else np.array([low, low + 1])
    inside = [limit for limit in limits if low < limit < high]
    width = (edges[-1] - edges[0]) / _BINS
    # An edge that lies next to a threshold gives way to it.
    kept = [edge for edge in edges.tolist() if all(abs(edge - limit) > width / 3 for limit in inside) or edge == low]
    return np.unique([*kept, *inside, max(high, edges[-1])])


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
