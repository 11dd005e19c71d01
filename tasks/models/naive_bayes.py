"""``naive_bayes``: how often each word stands in texts of each label; shards count, and their counts are summed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from tasks.errors import BadInput, Corrupt
from tasks.models import _vocabulary
from tasks.models._merging import sum_counts
from tasks.models._resampling import DESCRIPTION, Resampling, resampled
from tasks.models._telling import Sheet
from tasks.models._tokens import Words
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.section import Section
from tasks.step import Shard

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


_TOLD = 8
"""Terms of each label that a report tells."""


class NaiveBayesParams(Section):
    """Parameters of ``train.recipe.naive_bayes``."""

    smoothing: float = Field(0.1, gt=0, description="added to every count, so that no word rules a label out")
    max_vocabulary: int = Field(20_000, ge=1, description="terms kept: those that occur in most documents")
    min_df: int = Field(2, ge=1, description="documents that a term occurs in at least")
    imbalance: Resampling | None = Field(None, description=DESCRIPTION)
    parts: bool = Field(True, description="a compound, as readCsv or read_csv, also counts as its parts")


@dataclass(frozen=True, slots=True)
class NaiveBayesModel:
    """Rows of each label, and the occurrences of each term in them: int64, shape ``(labels, terms)``."""

    terms: list[str]
    labels: list[str]
    rows: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, slots=True)
class Probabilities:
    """P(label), shape ``(labels,)``; P(term | label), ``(labels, terms)``; P(term) under both, ``(terms,)``."""

    prior: np.ndarray
    conditional: np.ndarray
    marginal: np.ndarray


@RECIPES.register("naive_bayes")
class NaiveBayes:
    """Multinomial naive Bayes: one pass, exact whatever the sharding, and a baseline that others must beat.

    Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, section 13.2.
    """

    Params: ClassVar[type[Section]] = NaiveBayesParams
    spread: ClassVar[str] = "sharded"
    version: ClassVar[int] = 3
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "safetensors")
    merges: ClassVar[tuple[str, ...]] = ("sum", "vote")
    columns: tuple[str, ...] = ()

    def __init__(self, params: NaiveBayesParams, seed: int) -> None:
        self._params = params
        self._seed = seed
        self._words = Words(params.parts)

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        return _vocabulary.count(batches, self._words)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        return _vocabulary.combine(counts, least=self._params.min_df, most=rows, size=self._params.max_vocabulary)

    def fit(self, batches: Iterator[pa.Table], features: pa.Table, shard: Shard) -> NaiveBayesModel:
        """Raises ``BadInput`` where under-sampling leaves the shard no row."""
        import numpy as np

        terms, labels = features["term"].to_pylist(), _vocabulary.labels_of(features)
        index = {term: place for place, term in enumerate(terms)}
        rows, counts = np.zeros(len(labels), np.int64), np.zeros((len(labels), len(terms)), np.int64)
        way = self._params.imbalance
        given = resampled(batches, _vocabulary.label_rows(features), way, self._seed)
        for batch, ids in _vocabulary.label_ids(given, features):
            for text, label in zip(batch["text"].to_pylist(), ids, strict=True):
                rows[label] += 1
                np.add.at(counts[label], [index[term] for term in self._words.terms(text) if term in index], 1)
        if not rows.any():
            raise BadInput(
                f"train.recipe.naive_bayes.imbalance: {way} leaves shard {shard} no row, since a label has only "
                f"{min(_vocabulary.label_rows(features).values())} of them: take oversample, or lower train.shards"
            )
        seen = np.flatnonzero(rows)  # a shard may lack classes, and says nothing of them
        return NaiveBayesModel(terms, [labels[place] for place in seen], rows[seen], counts[seen])

    def merge(self, models: Sequence[NaiveBayesModel], weights: Sequence[float]) -> NaiveBayesModel:
        """The sums of the parts' counts: the model of all their rows. ``weights`` are in the counts already.

        Raises:
            BadInput: the parts were not fitted on one vocabulary.
        """
        import numpy as np

        terms = models[0].terms
        if any(model.terms != terms for model in models):
            raise BadInput("the parts have different vocabularies: prepare and train every shard again")
        known = [dict(zip(model.labels, model.rows.tolist(), strict=True)) for model in models]
        rows = sum_counts(known)
        labels = list(rows)
        counts = np.zeros((len(labels), len(terms)), np.int64)
        for model in models:
            counts[[labels.index(label) for label in model.labels]] += model.counts
        return NaiveBayesModel(terms, labels, np.array(list(rows.values()), np.int64), counts)

    def labels(self, model: NaiveBayesModel) -> list[str]:
        return list(model.labels)

    def predict(self, model: NaiveBayesModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        import numpy as np

        index = {term: place for place, term in enumerate(model.terms)}
        found = self.probabilities(model)
        likelihood, prior = np.log(found.conditional), np.log(found.prior)
        chances = np.zeros((len(texts), len(model.labels)))
        for row, text in enumerate(texts):
            places = [index[term] for term in self._words.terms(text) if term in index]
            said = prior + likelihood[:, places].sum(axis=1)
            exponents = np.exp(said - said.max())
            chances[row] = exponents / exponents.sum()
        return chances

    def probabilities(self, model: NaiveBayesModel) -> Probabilities:
        """The model in probabilities: what ``predict`` computes with, and the marginals."""
        import numpy as np

        smooth = model.counts + self._params.smoothing
        prior = model.rows / model.rows.sum()
        conditional = smooth / smooth.sum(axis=1, keepdims=True)
        return Probabilities(prior, conditional, np.asarray(prior @ conditional))

    def sheets(self, model: NaiveBayesModel) -> list[Sheet]:
        """Priors, and of each label the terms that speak for it most, for the report."""
        import numpy as np

        found = self.probabilities(model)
        priors = sorted(zip(model.labels, model.rows.tolist(), found.prior.tolist(), strict=True), key=lambda r: -r[2])
        # What a word adds to a label in all its documents: how often it stands there times how much it says.
        weight = found.conditional * np.log(found.conditional / found.marginal)
        rows = [
            (f"{label}: {model.terms[term]}", float(found.conditional[place, term]), float(found.marginal[term]))
            for place, label in enumerate(model.labels)
            for term in np.argsort(-weight[place], kind="stable")[:_TOLD]
        ]
        note = (
            "The terms that speak most for each label: the share of its words that they are, and of all labels' words."
        )
        return [
            Sheet("Priors", ("label", "rows", "prior"), priors),
            Sheet("Conditionals and marginals", ("label: term", "in the label", "in all"), rows, note),
        ]

    def facts(self, model: NaiveBayesModel) -> dict[str, int]:
        """Terms, and occurrences counted."""
        return {"vocabulary": len(model.terms), "occurrences": int(model.counts.sum())}

    def save(self, model: NaiveBayesModel, folder: Path) -> None:
        from tasks.models import _tensors

        tensors = {"rows": model.rows, "counts": model.counts}
        _tensors.write(folder, tensors, {"terms": model.terms, "labels": model.labels})

    def load(self, folder: Path) -> NaiveBayesModel:
        from tasks.models import _tensors

        tensors, lists = _tensors.read(folder, ("terms", "labels"))
        terms, labels = lists["terms"], lists["labels"]
        layout: Any = {"rows": ("int64", (len(labels),)), "counts": ("int64", (len(labels), len(terms)))}
        rows, counts = _tensors.checked(tensors, layout)
        if (rows < 1).any() or (counts < 0).any():
            raise Corrupt(f"{_tensors.TENSORS} counts less than nothing")
        return NaiveBayesModel(terms, labels, rows, counts)
