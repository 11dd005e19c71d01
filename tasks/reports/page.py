"""The report as one HTML file with its plots inside: no script, nothing loaded from anywhere."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tasks.training.metrics import confusions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tasks.catalog import Manifest
    from tasks.reports.history import PastRun
    from tasks.training import Training
    from tasks.training.scoring import Scores

_TOP_CONFUSIONS = 12


@dataclass(frozen=True)
class Report:
    """All that the report tells of one candidate."""

    training: Training
    model: Manifest
    scores: Mapping[str, Scores]
    metrics: Mapping[str, Any]
    champion: Mapping[str, Any] | None
    runs: Sequence[PastRun]
    curves: Sequence[Mapping[str, Any]] = ()
    """Of a mirrored training, by epoch."""

    def plots(self, folder: Path) -> dict[str, Path]:
        """Draw every plot into ``folder``: name to PNG."""
        from tasks.reports import plots

        champion = self.champion["metrics"]["validation"]["per_class"] if self.champion else None
        curves = {"curves": plots.curves(self.curves, folder / "curves.png")} if self.curves else {}
        return {
            **curves,
            "confusion": plots.confusion(self.scores["validation"].pairs, folder / "confusion.png"),
            "classes": plots.classes(self.metrics["validation"]["per_class"], champion, folder / "classes.png"),
            "history": plots.history(self.runs, folder / "history.png"),
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
        environment.filters |= {"number": _number, "score": _score, "signed": _signed, "is_link": _is_link}
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
        errors = confusions(self.scores["validation"].pairs)[:_TOP_CONFUSIONS]
        return [(true, guess, n, n / support[true]["support"]) for true, guess, n in errors]

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each split in the snapshot."""
        files = self.training.snapshot
        return {s: sum(entry.rows for entry in files.of_role(s)) for s in ("train", "validation", "test")}

    def against_champion(self, split: str, metric: str) -> float | None:
        """How much better than the champion, or None where one of them has no such number."""
        if self.champion is None:
            return None
        mine, theirs = self.metrics[split][metric], self.champion["metrics"][split][metric]
        return None if mine is None or theirs is None else mine - theirs


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _score(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def _is_link(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https")
