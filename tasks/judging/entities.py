"""``entities``: a tag a token; what counts are whole entities, by the rules of conlleval."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from tasks.judging.base import JUDGES, Measure, described
from tasks.kinds._tags import OUTSIDE, marks, spans
from tasks.training.metrics import MAX_SLICES, Pairs
from tasks.training.scoring import WORST, Mistake, slice_of

if TYPE_CHECKING:
    from tasks.models.base import Scoring

NONE = "(none)"
_SHOWN = 200
"""Characters of a sentence in the report."""


class _Counts:
    """Entities of some sentences: how many there are, were said, and were said rightly, by type."""

    def __init__(self) -> None:
        self.rows = self.tokens = self.right = self.whole = 0
        self.gold: Counter[str] = Counter()
        self.said: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()

    def add(self, truth: Sequence[str], guess: Sequence[str], found: set[Any], there: set[Any]) -> None:
        self.rows += 1
        self.tokens += len(truth)
        self.right += sum(a == b for a, b in zip(truth, guess, strict=True))
        self.whole += found == there
        self.gold.update(each[0] for each in there)
        self.said.update(each[0] for each in found)
        self.hits.update(each[0] for each in found & there)

    def metrics(self) -> dict[str, Any]:
        per_class = {
            kind: {
                "precision": self.hits[kind] / self.said[kind] if self.said[kind] else 0.0,
                "recall": self.hits[kind] / self.gold[kind],
                "f1": 2 * self.hits[kind] / (self.gold[kind] + self.said[kind]),
                "support": self.gold[kind],
            }
            for kind in sorted(self.gold)
        }
        hits, said, gold = self.hits.total(), self.said.total(), self.gold.total()
        return {
            "rows": self.rows,
            "f1": (2 * hits / (gold + said) if gold + said else 1.0) if self.rows else None,
            "macro_f1": sum(each["f1"] for each in per_class.values()) / len(per_class) if per_class else None,
            "accuracy": self.right / self.tokens if self.tokens else None,
            "precision": hits / said if said else 0.0,
            "recall": hits / gold if gold else 0.0,
            "sentence_accuracy": self.whole / self.rows if self.rows else None,
            "entities": gold,
            "tokens": self.tokens,
            "per_class": per_class,
        }


@JUDGES.register("entities")
class Entities:
    """F1 over entities, of each type and of all: right is one of the right type from its first token to its last.

    The numbers are those of the CoNLL-2000 shared task's script conlleval (Tjong Kim Sang and Buchholz, 2000). Tags
    that mark no entities, as parts of speech, count as one entity a token.
    """

    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("f1", "entity F1"),
        Measure("macro_f1", "macro-F1"),
        Measure("accuracy", "token accuracy"),
    )

    def __init__(self, recipe: Scoring | None, model: Any, slices: Iterable[str]) -> None:
        tags = recipe.labels(model) if recipe else []
        self._marks = marks(tags)
        self.labels = tuple(sorted({tag.partition("-")[2] or tag for tag in tags} - {OUTSIDE}))
        self._names = tuple(slices)
        self._all = _Counts()
        self._slices: dict[str, dict[str, _Counts]] = {}
        self.pairs: Pairs = Counter()
        self.mistakes: list[Mistake] = []

    def add(self, batch: pa.Table, said: Sequence[Sequence[str]]) -> None:
        rows = zip(batch["tokens"].to_pylist(), batch["tags"].to_pylist(), said, batch["url"].to_pylist(), strict=True)
        values = [[slice_of(name, value) for value in batch[name].to_pylist()] for name in self._names]
        for row, (tokens, truth, guess, url) in enumerate(rows):
            there, found = self._entities(truth), self._entities(guess)
            self._all.add(truth, guess, found, there)
            for name, column in zip(self._names, values, strict=True):
                self._slices.setdefault(name, {}).setdefault(column[row], _Counts()).add(truth, guess, found, there)
            self._confuse(there, found)
            if there != found:
                self._remember(tokens, truth, guess, url or "", there - found, found - there)

    @property
    def unseen(self) -> Mapping[str, int]:
        return {kind: n for kind, n in sorted(self._all.gold.items()) if kind not in self.labels}

    def metrics(self) -> dict[str, Any]:
        slices = {}
        for name, values in self._slices.items():
            ranked = sorted(values, key=lambda value: (-values[value].rows, value))[:MAX_SLICES]
            told = {value: values[value].metrics() for value in ranked}
            slices[name] = {v: {key: m[key] for key in ("rows", "f1", "macro_f1", "accuracy")} for v, m in told.items()}
        return {
            **self._all.metrics(),
            "auc": None,
            "slices": slices,
            "unseen": dict(self.unseen),
            "measures": described(self.measures),
        }

    @staticmethod
    def columns(recipe: Scoring, model: Any) -> pa.Schema:
        """``tokens``, ``tags`` (as many), ``entities`` (``type``, ``text``, ``start``, ``end`` in tokens)."""
        entity = pa.struct([("type", pa.string()), ("text", pa.string()), ("start", pa.int64()), ("end", pa.int64())])
        texts = pa.list_(pa.string())
        return pa.schema([("tokens", texts), ("tags", texts), ("entities", pa.list_(entity))])

    @staticmethod
    def write(recipe: Scoring, model: Any, rows: pa.RecordBatch, said: Sequence[Sequence[str]]) -> Sequence[pa.Array]:
        schema = Entities.columns(recipe, model)
        tokens = rows["tokens"].to_pylist()
        entities = [
            [
                {"type": kind, "text": " ".join(words[start:end]), "start": start, "end": end}
                for kind, start, end in spans(tags)
            ]
            for words, tags in zip(tokens, said, strict=True)
        ]
        columns = (tokens, [list(tags) for tags in said], entities)
        return [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]

    @staticmethod
    def told(rows: pa.RecordBatch) -> Sequence[str]:
        return [entity["type"] for row in rows["entities"].to_pylist() for entity in row]

    def _entities(self, tags: Sequence[str]) -> set[tuple[str, int, int]]:
        return set(spans(tags)) if self._marks else {(tag, place, place + 1) for place, tag in enumerate(tags)}

    def _confuse(self, there: set[Any], found: set[Any]) -> None:
        said = {(start, end): kind for kind, start, end in found}
        for kind, start, end in there:
            self.pairs[kind, said.pop((start, end), NONE)] += 1
        for kind in said.values():
            self.pairs[NONE, kind] += 1

    def _remember(
        self, tokens: list[str], truth: Sequence[str], guess: Sequence[str], url: str, missed: set[Any], wrong: set[Any]
    ) -> None:
        share = sum(a != b for a, b in zip(truth, guess, strict=True)) / len(tokens)
        said = Mistake(round(share, 6), url or " ".join(tokens)[:_SHOWN], _told(tokens, missed), _told(tokens, wrong))
        self.mistakes = heapq.nlargest(WORST, [*self.mistakes, said])


def _told(tokens: list[str], entities: set[Any]) -> str:
    ordered = sorted(entities, key=lambda each: each[1])
    return ", ".join(f"{kind}: {' '.join(tokens[start:end])}" for kind, start, end in ordered)[:_SHOWN] or NONE
