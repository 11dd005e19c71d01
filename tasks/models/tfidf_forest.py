"""``tfidf_forest``: TF-IDF terms and a random forest; each shard grows its share of the trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.errors import BadInput, Corrupt
from tasks.models._balance import DESCRIPTION, Imbalance
from tasks.models._tfidf import PARTS, Tfidf, TfidfParams
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.section import Section
from tasks.step import Shard

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from sklearn.ensemble import RandomForestClassifier

_FILE = "model.skops"


class TfidfForestParams(TfidfParams):
    """Parameters of ``train.recipe.tfidf_forest``."""

    parts: bool = Field(True, description=PARTS)
    trees: int = Field(200, ge=1, le=100_000, description="of the merged model; each shard grows its share of them")
    max_depth: int | None = Field(None, ge=1, description="levels of a tree; null grows until leaves are pure")
    min_samples_leaf: int = Field(1, ge=1, description="documents that a leaf holds at least")
    max_features: Literal["sqrt", "log2"] | float | None = Field(
        0.05, description="terms looked at for each branch: sqrt, log2, a share above 0 up to 1, or null for all"
    )
    bootstrap: bool | None = Field(
        None, description="grow each tree on a resample of its rows; null: only where there is one shard"
    )
    class_weight: Literal["balanced", "balanced_subsample"] | None = Field(
        None, description="weight of rare classes: balanced, balanced_subsample, or null for equal weights"
    )

    imbalance: Imbalance | None = Field(None, description=DESCRIPTION)

    @model_validator(mode="after")
    def _weighs_once(self) -> Self:
        if self.class_weight and self.imbalance:
            raise ValueError(f"imbalance: {self.imbalance} beside class_weight: {self.class_weight}: give one of them")
        return self

    @model_validator(mode="after")
    def _resampled(self) -> Self:
        if self.class_weight == "balanced_subsample" and not self.bootstrap:
            raise ValueError("class_weight balanced_subsample needs bootstrap: true; or take balanced")
        return self

    @field_validator("max_features")
    @classmethod
    def _share(cls, value: str | float | None) -> str | float | None:
        if isinstance(value, float) and not 0 < value <= 1:
            raise ValueError("a share must lie above 0 and up to 1; or give sqrt, log2 or null")
        return value


@dataclass(frozen=True, slots=True)
class TfidfForestModel:
    """Terms with their columns, in column order; the idf of each column; the trees over them."""

    vocabulary: dict[str, int]
    idf: np.ndarray
    forest: RandomForestClassifier


@RECIPES.register("tfidf_forest")
class TfidfForest:
    """scikit-learn's TF-IDF and random forest, spread over shards that share one vocabulary.

    Features of a shard are one sparse matrix: 8 bytes for each distinct term of each document, and as
    much again while the forest grows. Texts are held one batch at a time. A model takes 64 + 8 x classes
    bytes a node.
    """

    Params: ClassVar[type[Section]] = TfidfForestParams
    spread: ClassVar[str] = "sharded"
    version: ClassVar[int] = 4
    before: ClassVar[Mapping[str, Any]] = {"parts": False}
    libraries: ClassVar[tuple[str, ...]] = ("scikit-learn", "imbalanced-learn", "scipy", "numpy", "skops")
    merges: ClassVar[tuple[str, ...]] = ("union", "vote")
    columns: tuple[str, ...] = ()

    def __init__(self, params: TfidfForestParams, seed: int) -> None:
        self._params = params
        self._seed = seed
        self._tfidf = Tfidf(params)

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        return self._tfidf.count(batches)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        return self._tfidf.combine(counts, rows)

    def fit(self, batches: Iterator[pa.Table], features: pa.Table, shard: Shard) -> TfidfForestModel:
        """Grow this shard's share of the trees on its rows; parts' trees differ by the shard's own seed.

        Raises:
            BadInput: there are more shards than trees.
        """
        import numpy as np
        from sklearn.ensemble import RandomForestClassifier

        from tasks.models._balance import balanced
        from tasks.models._forest import settle

        seed = int(np.random.SeedSequence([self._seed, shard.index]).generate_state(1)[0])
        way = self._params.imbalance
        rows, labels = self._tfidf.rows(batches, features)
        forest = RandomForestClassifier(
            n_estimators=self._trees_of(shard),
            max_depth=self._params.max_depth,
            bootstrap=self._bootstraps(shard),
            min_samples_leaf=self._params.min_samples_leaf,
            max_features=self._params.max_features,
            class_weight="balanced" if way == "class_weights" else self._params.class_weight,
            random_state=seed,
        )
        forest.fit(*balanced(rows, np.array(labels), way, seed))
        return TfidfForestModel(_columns(features["term"].to_pylist()), features["idf"].to_numpy(), settle(forest))

    def labels(self, model: TfidfForestModel) -> list[str]:
        return [str(label) for label in model.forest.classes_]

    def predict(self, model: TfidfForestModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        """The mean of the trees' class shares, shape ``(len(texts), len(labels))``."""
        import numpy as np

        if not texts:
            return np.zeros((0, len(model.forest.classes_)))
        rows = self._tfidf.matrix(texts, list(model.vocabulary), model.idf)
        return np.asarray(model.forest.predict_proba(rows), dtype=np.float64)

    def merge(self, models: Sequence[TfidfForestModel], weights: Sequence[float]) -> TfidfForestModel:
        """The union of the trees, over the union of the classes.

        Each tree keeps one vote, so ``weights`` change nothing: shards differ by one row at most, and
        a part's say is already the number of trees it grew.

        Raises:
            BadInput: the parts were not fitted on one vocabulary.
        """
        from tasks.models._forest import unite

        first = models[0]
        if any(model.vocabulary != first.vocabulary for model in models):
            raise BadInput("the parts have different vocabularies: prepare and train every shard again")
        labels = sorted({label for model in models for label in self.labels(model)})
        return TfidfForestModel(first.vocabulary, first.idf, unite([m.forest for m in models], labels))

    def facts(self, model: TfidfForestModel) -> dict[str, int]:
        """Trees, nodes and terms."""
        trees = model.forest.estimators_
        nodes = sum(int(tree.tree_.node_count) for tree in trees)
        return {"trees": len(trees), "nodes": nodes, "vocabulary": len(model.vocabulary)}

    def save(self, model: TfidfForestModel, folder: Path) -> None:
        from tasks.models import _skops

        value = {"terms": "\n".join(model.vocabulary), "idf": model.idf, "forest": model.forest}
        _skops.write(value, folder / _FILE)

    def load(self, folder: Path) -> TfidfForestModel:
        from tasks.models import _skops
        from tasks.models._forest import verify

        value: Any = _skops.read(folder / _FILE, _TYPES)
        if not isinstance(value, dict) or set(value) != {"terms", "idf", "forest"}:
            raise Corrupt(f"{_FILE} is not a tfidf_forest model")
        vocabulary = _columns(value["terms"].split("\n"))
        verify(value["forest"], len(vocabulary))
        return TfidfForestModel(vocabulary, value["idf"], value["forest"])

    def _trees_of(self, shard: Shard) -> int:
        trees, more = divmod(self._params.trees, shard.count)
        if not trees:
            raise BadInput(
                f"train.recipe.tfidf_forest.trees is {self._params.trees}, fewer than train.shards ({shard.count}): "
                "every shard grows at least one tree"
            )
        return trees + (shard.index < more)

    def _bootstraps(self, shard: Shard) -> bool:
        # A shard is a sample without replacement already, which decorrelates the shards' trees as resampling
        # does (Friedman and Hall, On bagging and nonlinear estimation, 2007). Resampling it once more would
        # hide over a third of its rows from every tree: two points of accuracy on small corpora.
        return self._params.bootstrap if self._params.bootstrap is not None else shard.count == 1


def _columns(terms: Sequence[str]) -> dict[str, int]:
    return {term: column for column, term in enumerate(terms)}


_TYPES = frozenset(
    {
        "builtins.dict",
        "builtins.list",
        "builtins.tuple",
        "builtins.str",
        "numpy.ndarray",
        "numpy.int64",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._tree.Tree",
    }
)
