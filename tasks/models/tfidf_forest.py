"""``tfidf_forest``: TF-IDF terms and a random forest; each shard grows its share of the trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.errors import BadInput, Corrupt
from tasks.models._terms import Analysis, document_frequencies
from tasks.models.base import NO_COLUMNS, RECIPES, Columns
from tasks.section import Section
from tasks.step import Shard

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer

_FILE = "model.skops"


class TfidfForestParams(Section):
    """Parameters of ``train.recipe.tfidf_forest``."""

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
    max_vocabulary: int = Field(20_000, ge=1, description="terms kept: those that occur in most documents")
    min_df: int = Field(2, ge=1, description="documents that a term occurs in at least")
    max_df: float = Field(1.0, gt=0, le=1, description="share of documents that a term occurs in at most")
    analyzer: Literal["word", "char"] = Field(
        "word", description="terms are words, or characters within words (for languages without spaces)"
    )
    ngrams: tuple[int, int] = Field((1, 1), description="shortest and longest n-gram, as in [1, 2]")
    sublinear_tf: bool = Field(False, description="count a term as 1 + ln(occurrences)")

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

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.ngrams
        if not 1 <= low <= high <= 8:
            raise ValueError(f"ngrams {[low, high]}: expected [shortest, longest] between 1 and 8")
        return self


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
    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("scikit-learn", "scipy", "numpy", "skops")
    merges: ClassVar[tuple[str, ...]] = ("union", "vote")
    columns: tuple[str, ...] = ()

    def __init__(self, params: TfidfForestParams, seed: int) -> None:
        self._params = params
        self._seed = seed
        self._analysis = Analysis(params.analyzer, params.ngrams)

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        """``term`` and ``documents``, the number of rows of the shard that it occurs in, by term."""
        import pyarrow as pa

        texts = (text for batch in batches for text in batch["text"].to_pylist())
        frequencies = document_frequencies(texts, self._analysis)
        terms = sorted(frequencies)
        return pa.table(
            {
                "term": pa.array(terms, pa.large_string()),
                "documents": pa.array([frequencies[term] for term in terms], pa.int64()),
            }
        )

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        """``term``, ``documents`` and ``idf`` (float64) of the vocabulary, by term.

        idf = ln((1 + rows) / (1 + documents)) + 1, scikit-learn's smoothed form.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        summed = pa.concat_tables(counts).group_by("term").aggregate([("documents", "sum")])
        summed = summed.rename_columns(["term", "documents"])
        documents = summed["documents"]
        kept = pc.and_(
            pc.greater_equal(documents, self._params.min_df),
            pc.less_equal(documents, max(int(self._params.max_df * rows), 1)),
        )
        # The tie between equally frequent terms is broken by the term: never by the order of shards.
        ranked = summed.filter(kept).sort_by([("documents", "descending"), ("term", "ascending")])
        vocabulary = ranked.slice(0, self._params.max_vocabulary).sort_by("term").combine_chunks()
        idf = np.log((1 + rows) / (1 + vocabulary["documents"].to_numpy())) + 1.0
        return vocabulary.append_column("idf", pa.array(idf, pa.float64()))

    def fit(self, batches: Iterator[pa.Table], features: pa.Table, shard: Shard) -> TfidfForestModel:
        """Grow this shard's share of the trees on its rows; parts' trees differ by the shard's own seed.

        Raises:
            BadInput: there are more shards than trees.
        """
        import numpy as np
        from scipy.sparse import vstack
        from sklearn.ensemble import RandomForestClassifier

        from tasks.models._forest import settle

        vocabulary, idf = _columns(features["term"].to_pylist()), features["idf"].to_numpy()
        vectorizer = self._vectorizer(vocabulary, idf)
        blocks, labels = [], []
        for batch in batches:
            blocks.append(vectorizer.transform(batch["text"].to_pylist()))
            labels += batch["label"].to_pylist()
        forest = RandomForestClassifier(
            n_estimators=self._trees_of(shard),
            max_depth=self._params.max_depth,
            bootstrap=self._bootstraps(shard),
            min_samples_leaf=self._params.min_samples_leaf,
            max_features=self._params.max_features,
            class_weight=self._params.class_weight,
            random_state=int(np.random.SeedSequence([self._seed, shard.index]).generate_state(1)[0]),
        )
        forest.fit(vstack(blocks, format="csr"), np.array(labels))
        return TfidfForestModel(vocabulary, idf, settle(forest))

    def labels(self, model: TfidfForestModel) -> list[str]:
        return [str(label) for label in model.forest.classes_]

    def predict(self, model: TfidfForestModel, texts: Sequence[str], columns: Columns = NO_COLUMNS) -> np.ndarray:
        """The mean of the trees' class shares, shape ``(len(texts), len(labels))``."""
        import numpy as np

        if not texts:
            return np.zeros((0, len(model.forest.classes_)))
        vectorizer = self._vectorizer(model.vocabulary, model.idf)
        return np.asarray(model.forest.predict_proba(vectorizer.transform(texts)), dtype=np.float64)

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

    def _vectorizer(self, vocabulary: dict[str, int], idf: np.ndarray) -> TfidfVectorizer:
        import numpy as np
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(
            analyzer=self._analysis.terms,
            vocabulary=vocabulary,
            sublinear_tf=self._params.sublinear_tf,
            dtype=np.float32,
        )
        vectorizer.idf_ = idf
        return vectorizer


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
