"""The report as one HTML file with its plots inside: no script, nothing loaded from anywhere."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.judging.base import measures_of
from tasks.training.metrics import confusions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.catalog import Manifest
    from tasks.judging.base import Judge, Measure
    from tasks.models._telling import Sheet
    from tasks.reports.history import PastRun
    from tasks.reports.study import Study
    from tasks.training import Training

_TOP_CONFUSIONS = 12


@dataclass(frozen=True)
class Report:
    """All that the report tells of one candidate."""

    training: Training
    model: Manifest
    scores: Mapping[str, Judge]
    metrics: Mapping[str, Any]
    champion: Mapping[str, Any] | None
    runs: Sequence[PastRun]
    curves: Sequence[Mapping[str, Any]] = ()
    """Of a mirrored training, by epoch."""
    folds: Mapping[str, Any] | None = None
    """What a cross-validation says: ``tasks.crossvalidate.summary``."""
    study: Study | None = None
    """The search that found the parameters."""
    sheets: Sequence[Sheet] = ()
    """What the model tells of itself."""

    def plots(self, folder: Path) -> dict[str, Path]:
        """Draw every plot into ``folder``: name to PNG."""
        from tasks.reports import plots

        champion = self.champion["metrics"]["validation"]["per_class"] if self.champion else None
        curves = {"curves": plots.curves(self.curves, folder / "curves.png")} if self.curves else {}
        told = {"history": plots.history(self.runs, folder / "history.png", self.measures[0])}
        if self.study:
            told |= self.study.plots(folder)
        if own := getattr(self.scores["validation"], "plots", None):
            told |= own(folder)
        if not self.metrics["validation"]["per_class"]:
            return {**curves, **told}
        return {
            **curves,
            "confusion": plots.confusion(self.scores["validation"].pairs, folder / "confusion.png"),
            "classes": plots.classes(self.metrics["validation"]["per_class"], champion, folder / "classes.png"),
            **told,
        }

    def html(self, plots: Mapping[str, Path]) -> str:
        """The page."""
        import jinja2

        # Labels and URLs come from the web: everything is escaped, and only http(s) becomes a link.
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters |= {
            "number": _number,
            "score": _score,
            "signed": _signed,
            "is_link": _is_link,
            "plain": _plain,
        }
        images = {name: base64.b64encode(path.read_bytes()).decode() for name, path in plots.items()}
        return environment.get_template("page.html.j2").render(report=self, images=images)

    @property
    def corpus(self) -> str:
        return self.training.corpus.corpus

    @property
    def reason(self) -> str:
        """Why the candidate is the union, or a part, as one sentence."""
        said: str = self.model.details["reason"]
        return f"{said[:1].upper()}{said[1:]}."

    @property
    def parameters(self) -> dict[str, Any]:
        """The recipe's parameters and what else shapes the run."""
        train = self.training.corpus.train
        return {
            **train.recipe.params.model_dump(mode="json"),
            "seed": train.seed,
            "shards": train.shards,
            "merge_tolerance": train.merge_tolerance,
            "label": train.label,
        }

    @cached_property
    def confusions(self) -> list[tuple[str, str, int, float]]:
        """(true, predicted, rows, share of the true class), the most frequent errors first."""
        support = self.metrics["validation"]["per_class"]
        pairs = self.scores["validation"].pairs
        errors = confusions(pairs)[:_TOP_CONFUSIONS] if support else []
        rows: Counter[str] = Counter()
        for (true, _), n in pairs.items():
            rows[true] += n
        return [(true, guess, n, n / rows[true]) for true, guess, n in errors]

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each split in the snapshot."""
        files = self.training.snapshot
        return {s: sum(entry.rows for entry in files.of_role(s)) for s in ("train", "validation", "test")}

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What models are compared by, the leading one first."""
        return measures_of(self.metrics["validation"])

    @property
    def tiles(self) -> list[tuple[str, Measure]]:
        """The split and measure of each headline number."""
        return [(split, measure) for split in ("validation", "test") for measure in self.measures[:2]]

    def numbers(self, split: str) -> dict[str, Any]:
        """What else the judge measured, as one number each."""
        named = {measure.name for measure in self.measures} | {"rows", "majority"}
        values = self.metrics[split]
        return {k: v for k, v in values.items() if k not in named and isinstance(v, int | float)}

    def against_champion(self, split: str, metric: str) -> float | None:
        """How much better than the champion, or None where one of them has no such number."""
        if self.champion is None:
            return None
        mine, theirs = self.metrics[split][metric], self.champion["metrics"][split].get(metric)
        return None if mine is None or theirs is None else mine - theirs


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _score(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.3f}"


def _plain(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def _is_link(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https")
