"""What the recipes that put one classifier of scikit-learn over TF-IDF have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from pydantic import Field

from tasks.errors import BadInput, Corrupt
from tasks.models._balance import DESCRIPTION, Imbalance
from tasks.models._tfidf import Tfidf, TfidfParams
from tasks.models.base import NO_COLUMNS, Columns
from tasks.step import Shard

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tasks.models._calibration import Sigmoids

_FILE = "model.skops"
_PLAIN = frozenset({"builtins.dict", "builtins.list", "builtins.tuple", "builtins.str", "numpy.ndarray", "numpy.int64"})


class ClassifierParams(TfidfParams):
    """Base of the parameters of every recipe of one calibrated classifier."""

    imbalance: Imbalance | None = Field(None, description=DESCRIPTION)
    folds: int = Field(
        5, ge=2, le=100, description="probabilities are calibrated on rows left out, so many parts in turn"
    )


@dataclass(frozen=True, slots=True)
class ClassifierModel:
    """Terms in column order and their idf; labels, sorted; the classifier (of one label: None) and its calibration."""

    terms: list[str]
    idf: np.ndarray
    labels: list[str]
    estimator: Any
    sigmoids: Sigmoids


class Classifier:
    """A recipe but for the classifier: a subclass says which, what its scores are, and what a sound one looks like.

    A shard's features are one sparse matrix: 8 bytes for each distinct term of each document. Parts vote.
    """

    spread: ClassVar[str] = "sharded"
    libraries: ClassVar[tuple[str, ...]] = ("scikit-learn", "imbalanced-learn", "scipy", "numpy", "skops")
    merges: ClassVar[tuple[str, ...]] = ("vote",)
    types: ClassVar[frozenset[str]]
    """What the classifier's file holds beside plain arrays and texts."""
    columns: tuple[str, ...] = ()

    def __init__(self, params: ClassifierParams, seed: int) -> None:
        self._classifier = params
        self._seed = seed
        self._tfidf = Tfidf(params)

    def estimator(self, seed: int) -> Any:
        """The untrained classifier."""
        raise NotImplementedError

    def scores(self, estimator: Any, rows: Any) -> np.ndarray:
        """A score of each row and class of a fitted classifier, shape ``(rows, classes)``."""
        raise NotImplementedError

    def settled(self, estimator: Any) -> Any:
        """The fitted classifier as it is kept: equal ones, equal files."""
        return estimator

    def verify(self, estimator: Any, features: int, classes: int) -> None:
        """Refuse a loaded classifier that does not fit its vocabulary and labels.

        Raises:
            Corrupt: it does not.
        """
        raise NotImplementedError

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        return self._tfidf.count(batches)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        return self._tfidf.combine(counts, rows)

    def fit(self, batches: Iterator[pa.Table], features: pa.Table, shard: Shard) -> ClassifierModel:
        import numpy as np

        from tasks.models._balance import balanced
        from tasks.models._calibration import Sigmoids, calibrate

        seed = int(np.random.SeedSequence([self._seed, shard.index]).generate_state(1)[0])
        rows, labels = self._tfidf.rows(batches, features)
        known = sorted(set(labels))
        way = self._classifier.imbalance
        estimator, sigmoids = None, Sigmoids(np.ones(1), np.zeros(1))
        if len(known) > 1:  # a shard may lack all classes but one, and then has nothing to tell apart

            def fit(some: Any, said: Any) -> Any:
                return self.estimator(seed).fit(*balanced(some, said, way, seed))

            sigmoids = calibrate(fit, self.scores, rows, labels, self._classifier.folds, seed, even=way is not None)
            estimator = self.settled(fit(rows, np.array(labels)))
        return ClassifierModel(features["term"].to_pylist(), features["idf"].to_numpy(), known, estimator, sigmoids)

    def merge(self, models: Sequence[ClassifierModel], weights: Sequence[float]) -> NoReturn:
        raise BadInput("classifiers of shards have no common parameters to unite: they vote (train.merge: vote)")

    def labels(self, model: ClassifierModel) -> list[str]:
        return list(model.labels)

    def predict(self, model: ClassifierModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        import numpy as np

        if model.estimator is None or not texts:
            return np.ones((len(texts), len(model.labels)))
        rows = self._tfidf.matrix(texts, model.terms, model.idf)
        return model.sigmoids.chances(self.scores(model.estimator, rows))

    def facts(self, model: ClassifierModel) -> dict[str, int]:
        """Terms."""
        return {"vocabulary": len(model.terms)}

    def save(self, model: ClassifierModel, folder: Path) -> None:
        from tasks.models import _skops

        value = {
            "terms": "\n".join(model.terms),
            "idf": model.idf,
            "labels": model.labels,
            "estimator": model.estimator,
            "slopes": model.sigmoids.slopes,
            "offsets": model.sigmoids.offsets,
        }
        _skops.write(value, folder / _FILE)

    def load(self, folder: Path) -> ClassifierModel:
        import numpy as np

        from tasks.models import _skops
        from tasks.models._calibration import Sigmoids

        value: Any = _skops.read(folder / _FILE, _PLAIN | self.types)
        keys = {"terms", "idf", "labels", "estimator", "slopes", "offsets"}
        if not isinstance(value, dict) or set(value) != keys:
            raise Corrupt(f"{_FILE} does not hold {', '.join(sorted(keys))}")
        terms, labels, estimator = value["terms"].split("\n"), list(value["labels"]), value["estimator"]
        arrays = {"idf": len(terms), "slopes": len(labels), "offsets": len(labels)}
        for name, length in arrays.items():
            if value[name].shape != (length,) or not np.isfinite(value[name]).all():
                raise Corrupt(f"{_FILE}: {name} is not {length} finite numbers")
        if (estimator is None) != (len(labels) == 1):
            raise Corrupt(f"{_FILE} knows {len(labels)} labels, and its classifier does not tell them apart")
        if estimator is not None:
            self.verify(estimator, len(terms), len(labels))
        return ClassifierModel(terms, value["idf"], labels, estimator, Sigmoids(value["slopes"], value["offsets"]))
