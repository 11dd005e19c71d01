"""``summaries``: how much of a reference summary the chosen sentences have, beside the first ones of each text."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from tasks.judging.base import JUDGES, Measure, described
from tasks.models._rouge import NAMES, oracle, scores
from tasks.training.metrics import MAX_SLICES
from tasks.training.scoring import WORST, Mistake, slice_of

if TYPE_CHECKING:
    from tasks.models.base import Scoring
    from tasks.models.summarizer import Summary
    from tasks.training.metrics import Pairs

_SHOWN = 200
"""Characters of a summary in the report."""


class _Means:
    """Sums of scores over texts."""

    def __init__(self) -> None:
        self.rows = 0
        self.sums: Counter[str] = Counter()

    def add(self, told: Mapping[str, float]) -> None:
        self.rows += 1
        for name, value in told.items():
            self.sums[name] += value  # type: ignore[assignment]

    def mean(self, name: str) -> float | None:
        return self.sums[name] / self.rows if self.rows else None


@JUDGES.register("summaries")
class Summaries:
    """ROUGE-1, ROUGE-2 and ROUGE-L as F1, means over texts.

    Beside them the same of as many first sentences (``lead``), which is hard to beat where authors begin with what
    matters, and of the sentences that have the most ROUGE of the reference (``oracle``), which nobody can beat by much.
    """

    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("rouge_1", "ROUGE-1"),
        Measure("rouge_2", "ROUGE-2"),
        Measure("rouge_l", "ROUGE-L"),
    )

    def __init__(self, recipe: Any, model: Any, slices: Iterable[str]) -> None:
        self.labels: tuple[str, ...] = ()
        self.pairs: Pairs = Counter()
        self.mistakes: list[Mistake] = []
        self._most = recipe.params.sentences if recipe else 1
        self._names = tuple(slices)
        self._all = _Means()
        self._slices: dict[str, dict[str, _Means]] = {name: defaultdict(_Means) for name in self._names}
        self._first: set[float] = set()

    def add(self, batch: pa.Table, said: Sequence[Summary]) -> None:
        values = {name: [slice_of(name, value) for value in batch[name].to_pylist()] for name in self._names}
        columns = (batch[name].to_pylist() for name in ("sentences", "summary", "url"))
        for row, (sentences, reference, url) in enumerate(zip(*columns, strict=True)):
            chosen = [sentences[place] for place in said[row].places]
            told = scores(reference, chosen)
            lead = scores(reference, sentences[: self._most])
            best = scores(reference, [sentences[place] for place in oracle(sentences, reference, self._most)])
            beside = {f"lead_{name}": value for name, value in lead.items()}
            beside |= {f"oracle_{name}": value for name, value in best.items()}
            self._all.add({**told, **beside, "sentences": len(chosen)})
            # Of sentences that are all alike each has the same share, which is the smaller the more there are.
            self._first.add(round(said[row].chances[0] * len(said[row].chances), 6))
            for name, column in values.items():
                self._slices[name][column[row]].add(told)
            lost = best["rouge_1"] - told["rouge_1"]
            mistake = Mistake(
                round(lost, 6), url or sentences[0][:_SHOWN], reference[:_SHOWN], " ".join(chosen)[:_SHOWN]
            )
            self.mistakes = heapq.nlargest(WORST, [*self.mistakes, mistake])

    @property
    def unseen(self) -> Mapping[str, int]:
        return {}

    def metrics(self) -> dict[str, Any]:
        """Beside the measures ``lead_…`` and ``oracle_…`` of each, ``sentences`` (of a summary, on average) and
        ``distinct`` (2 if it finds not all texts alike)."""
        beside = [f"{who}_{name}" for who in ("lead", "oracle") for name in NAMES]
        return {
            "rows": self._all.rows,
            **{measure.name: self._all.mean(measure.name) for measure in self.measures},
            "measures": described(self.measures),
            **{name: self._all.mean(name) for name in (*beside, "sentences")},
            "distinct": min(len(self._first), 2),
            "per_class": {},
            "slices": {name: self._slice(values) for name, values in self._slices.items()},
            "unseen": {},
        }

    def _slice(self, values: Mapping[str, _Means]) -> dict[str, dict[str, Any]]:
        ranked = sorted(values, key=lambda value: (-values[value].rows, value))[:MAX_SLICES]
        return {
            value: {
                "rows": values[value].rows,
                **{measure.name: values[value].mean(measure.name) for measure in self.measures},
            }
            for value in ranked
        }

    @staticmethod
    def columns(recipe: Scoring, model: Any) -> pa.Schema:
        """``summary`` (the sentences, a line each), ``places`` (theirs in the text, from 0) and ``probabilities``
        (of every sentence that was read, to be the one that has most of the summary: they sum to 1)."""
        numbers = [("places", pa.list_(pa.int64())), ("probabilities", pa.list_(pa.float64()))]
        return pa.schema([("summary", pa.string()), *numbers])

    @staticmethod
    def write(recipe: Scoring, model: Any, rows: pa.RecordBatch, said: Sequence[Summary]) -> Sequence[pa.Array]:
        texts = rows["sentences"].to_pylist()
        chosen = ["\n".join(text[place] for place in each.places) for text, each in zip(texts, said, strict=True)]
        return [
            pa.array(chosen, pa.string()),
            pa.array([each.places for each in said], pa.list_(pa.int64())),
            pa.array([each.chances for each in said], pa.list_(pa.float64())),
        ]

    @staticmethod
    def told(rows: pa.RecordBatch) -> Sequence[str]:
        """Nothing: summaries are not counted by name."""
        return ()

    def note(self) -> Mapping[str, str]:
        """Nothing to add to the report."""
        return {}
