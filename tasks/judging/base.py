"""The interface of a judge, and the registry of the ones there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tasks.registry import Registry

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.models.base import Scoring
    from tasks.training.metrics import Pairs


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that models are compared by; ``rising``: more is better."""

    name: str
    title: str
    rising: bool = True
    share: bool = True
    """Whether it lies between 0 and 1."""

    def gain(self, mine: float, theirs: float) -> float:
        """How much better ``mine`` is; of what is no share as a share of ``theirs``."""
        gained = mine - theirs if self.rising else theirs - mine
        return gained if self.share or not theirs else gained / abs(theirs)


class Judge(Protocol):
    """Takes the rows of one split with what one model says of them, and counts."""

    measures: ClassVar[tuple[Measure, ...]]
    """What models are compared by. The first decides on merges; gate model holds all against the champion's."""

    labels: tuple[str, ...]
    """What the model can say, where that is a list of names."""
    pairs: Pairs
    """How often (true, said) occurred, where both are names; for the confusion matrix."""
    mistakes: list[Any]
    """The worst ones (``url``, ``true``, ``predicted``, ``confidence``), for the report."""

    def __init__(self, recipe: Scoring | None, model: Any, slices: Iterable[str]) -> None:
        """``recipe`` is None for a part without rows, which says nothing."""

    def add(self, batch: pa.Table, said: Any) -> None:
        """Count rows (``uid``, ``url``, ``text``, ``label``, the recipe's columns, the slices) and what ``predict``
        said of them."""

    @property
    def unseen(self) -> Mapping[str, int]:
        """Rows that the model could not get right, by their label: it was not in the train split."""

    def metrics(self) -> dict[str, Any]:
        """``rows``, each of ``measures`` (None without rows), ``per_class`` (name to its ``precision``, ``recall``,
        ``f1`` and ``support``; empty where there are no names), ``slices`` and ``unseen``; whatever else is for the
        report. ``measures`` names the measures, for who reads it later. ``baseline``, where there is one, is the
        leading measure of whoever says the same whatever it reads: gate model asks for more."""

    @staticmethod
    def columns(recipe: Scoring, model: Any) -> pa.Schema:
        """Columns of predictions beside ``uid`` and ``url``."""

    @staticmethod
    def write(recipe: Scoring, model: Any, rows: pa.RecordBatch, said: Any) -> Sequence[pa.Array]:
        """What ``predict`` said of rows, as these columns."""

    @staticmethod
    def told(rows: pa.RecordBatch) -> Sequence[str]:
        """Of written predictions what is counted of each, as its label."""


JUDGES: Registry[type[Judge]] = Registry("tasks.judging", kind="way of judging")
CLASSES = (Measure("macro_f1", "macro-F1"), Measure("accuracy", "accuracy"))
"""Of classes; and of every report that names no measures, since it is older than the others."""


def measures_of(metrics: Mapping[str, Any]) -> tuple[Measure, ...]:
    """The measures that the metrics of a report are compared by, the leading one first."""
    named = metrics.get("measures")
    return tuple(Measure(**each) for each in named) if named else CLASSES


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that models are compared by, and how to read them."""
    found = {measure.name: metrics[measure.name] for measure in measures_of(metrics)}
    return {**found, **({"measures": metrics["measures"]} if "measures" in metrics else {})}


def said(metrics: Mapping[str, Any], digits: int = 4) -> str:
    """The same for a person: ``macro-F1 0.9120, accuracy 0.9344``."""
    return ", ".join(
        f"{measure.title} {'none' if (value := metrics[measure.name]) is None else format(value, f'.{digits}f')}"
        for measure in measures_of(metrics)
    )


def described(measures: Iterable[Measure]) -> list[dict[str, Any]]:
    """Measures as JSON has them; ``measures_of`` reads them again."""
    return [{"name": m.name, "title": m.title, "rising": m.rising, "share": m.share} for m in measures]
