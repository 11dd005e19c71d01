"""TF-IDF over a vocabulary that all shards share: what scikit-learn's recipes of documents see of a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tasks.models import _vocabulary
from tasks.models._terms import Analysis
from tasks.section import Section

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from scipy.sparse import csr_matrix


PARTS = (
    "a word that is a compound, as readCsv or read_csv, also counts as its parts; of single words, with analyzer: word"
)


class TfidfParams(Section):
    """Base of the parameters of every recipe over TF-IDF features."""

    max_vocabulary: int = Field(20_000, ge=1, description="terms kept: those that occur in most documents")
    min_df: int = Field(2, ge=1, description="documents that a term occurs in at least")
    max_df: float = Field(1.0, gt=0, le=1, description="share of documents that a term occurs in at most")
    analyzer: Literal["word", "char"] = Field(
        "word", description="terms are words (of languages without spaces: by a dictionary), or characters within words"
    )
    ngrams: tuple[int, int] = Field((1, 1), description="shortest and longest n-gram, as in [1, 2]")
    parts: bool = Field(False, description=PARTS)
    sublinear_tf: bool = Field(False, description="count a term as 1 + ln(occurrences)")

    @model_serializer(mode="wrap")
    def _as_before_there_was_more(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A training that asks for nothing new is what it was: so is its id."""
        values: dict[str, Any] = dump(self)
        fields = type(self).model_fields
        for name in ("parts", "rounds"):
            if name in fields and not fields[name].default and not values.get(name):
                values.pop(name, None)
        return values

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.ngrams
        if not 1 <= low <= high <= 8:
            raise ValueError(f"ngrams {[low, high]}: expected [shortest, longest] between 1 and 8")
        return self


class Tfidf:
    """Counts, vocabulary and weights of one recipe's terms; the same whatever the sharding."""

    def __init__(self, params: TfidfParams) -> None:
        self._params = params
        self._analysis = Analysis(params.analyzer, params.ngrams, params.parts)

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        """``term`` and ``documents``, the number of rows of the shard that it occurs in, by term."""
        return _vocabulary.count(batches, self._analysis)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> pa.Table:
        """``term``, ``documents`` and ``idf`` (float64) of the vocabulary, by term."""
        params = self._params
        most = max(int(params.max_df * rows), 1)
        kept = _vocabulary.combine(counts, least=params.min_df, most=most, size=params.max_vocabulary)
        return _vocabulary.with_idf(kept, rows)

    def matrix(self, texts: Sequence[str], terms: Sequence[str], idf: np.ndarray) -> csr_matrix:
        """Rows of norm 1 (of a text without known terms: 0), float32, shape ``(len(texts), len(terms))``."""
        import numpy as np
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(
            analyzer=self._analysis.terms,
            vocabulary={term: column for column, term in enumerate(terms)},
            sublinear_tf=self._params.sublinear_tf,
            dtype=np.float32,
        )
        vectorizer.idf_ = idf
        return vectorizer.transform(texts)

    def rows(self, batches: Iterator[pa.Table], features: pa.Table) -> tuple[csr_matrix, list[str]]:
        """A shard's rows as one matrix, and their labels; texts are held one batch at a time."""
        from scipy.sparse import vstack

        terms, idf = features["term"].to_pylist(), features["idf"].to_numpy()
        blocks, labels = [], []
        for batch in batches:
            blocks.append(self.matrix(batch["text"].to_pylist(), terms, idf))
            labels += batch["label"].to_pylist()
        return vstack(blocks, format="csr"), labels
