"""What a report tells of a search: its trials, how the best one came to be, and which parameters mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tasks.reports.colours import CANDIDATE, CHAMPION, GRID, INK, SOFT
from tasks.reports.plots import bare, save

_TOLD = 50
"""Rows of the table, the best first."""


@dataclass(frozen=True)
class Study:
    """A search that has ended: its manifest's ``details``, and every trial as ``study.json`` has it."""

    details: Mapping[str, Any]
    trials: Sequence[Mapping[str, Any]]

    @property
    def names(self) -> list[str]:
        """The parameters."""
        return list(self.details["best"]["params"])

    @property
    def told(self) -> list[Mapping[str, Any]]:
        """The best trials, then those that did not come to their end."""
        sign = -1 if self.details["direction"] == "maximize" else 1
        worst = (1, 0.0)
        rank = {t["number"]: worst if t["value"] is None else (0, sign * t["value"]) for t in self.trials}
        return sorted(self.trials, key=lambda trial: (rank[trial["number"]], trial["number"]))[:_TOLD]

    def plots(self, folder: Path) -> dict[str, Path]:
        """Name to PNG: ``trials``, and ``importances`` where there is anything to explain."""
        drawn = {"trials": self._trials(folder / "trials.png")}
        if self.details["importances"]:
            drawn["importances"] = self._importances(folder / "importances.png")
        return drawn

    def _trials(self, path: Path) -> Path:
        figure = Figure(figsize=(8.2, 2.9), dpi=110, layout="constrained")
        axes = figure.subplots()
        done = [(trial["number"], trial["value"]) for trial in self.trials if trial["state"] == "complete"]
        better = max if self.details["direction"] == "maximize" else min
        best = [better(value for _, value in done[: i + 1]) for i in range(len(done))]
        axes.scatter([n for n, _ in done], [value for _, value in done], s=26, color=CANDIDATE, label="trial", zorder=3)
        axes.step([n for n, _ in done], best, where="post", color=CHAMPION, linewidth=1.8, label="best so far")
        low = axes.get_ylim()[0]
        for state, mark in (("pruned", "|"), ("failed", "x")):
            numbers = [trial["number"] for trial in self.trials if trial["state"] == state]
            if numbers:
                axes.scatter(numbers, [low] * len(numbers), marker=mark, s=40, color=SOFT, label=state)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trial", color=SOFT)
        axes.set_ylabel(self.details["metric"]["title"], color=SOFT)
        axes.grid(axis="y", color=GRID)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=9, labelcolor=INK)
        bare(axes)
        return save(figure, path)

    def _importances(self, path: Path) -> Path:
        shares = sorted(self.details["importances"].items(), key=lambda item: (item[1], item[0]))
        figure = Figure(figsize=(8.2, 0.3 * len(shares) + 1.1), dpi=110, layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(shares)), [share for _, share in shares], height=0.62, color=CANDIDATE)
        for place, (_, share) in enumerate(shares):
            axes.text(1.01, place, f"{share:.0%}", va="center", fontsize=9, color=INK)
        axes.set_yticks(range(len(shares)), [name for name, _ in shares], fontsize=9, color=INK)
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of the differences between trials (fANOVA)", color=SOFT)
        axes.grid(axis="x", color=GRID)
        bare(axes)
        return save(figure, path)
