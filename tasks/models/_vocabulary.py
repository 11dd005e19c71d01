"""The vocabulary and the labels of a train split, counted shard by shard: what recipes of texts map and reduce."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from tasks.models._merging import sum_counts

if TYPE_CHECKING:
    import pyarrow as pa

_LABELS = b"nightshift.labels"


class Terms(Protocol):
    """How a text is cut into terms."""

    def terms(self, text: str) -> list[str]:
        """The terms of a text, in their order, as often as they occur."""


def count(batches: Iterable[pa.Table], cut: Terms) -> pa.Table:
    """Map: ``term`` and ``documents``, the rows of the shard that it occurs in, by term; and the rows of each label.

    Labels are metadata of the table: its rows are the terms alone. Memory grows with the distinct terms.
    """
    import pyarrow as pa

    frequencies: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    for batch in batches:
        labels.update(label for label in batch["label"].to_pylist() if label is not None)
        for text in batch["text"].to_pylist():
            frequencies.update(set(cut.terms(text)))
    terms = sorted(frequencies)
    columns = {
        "term": pa.array(terms, pa.large_string()),
        "documents": pa.array([frequencies[term] for term in terms], pa.int64()),
    }
    return with_labels(pa.table(columns), labels)


def combine(counts: Iterable[pa.Table], *, least: int, most: int, size: int, by: str = "term") -> pa.Table:
    """Reduce: the ``size`` terms that occur in most documents, of those in ``least`` to ``most``; by term."""
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = list(counts)
    summed = pa.concat_tables(tables).group_by(by).aggregate([("documents", "sum")])
    summed = summed.rename_columns([by, "documents"])
    documents = summed["documents"]
    kept = summed.filter(pc.and_(pc.greater_equal(documents, least), pc.less_equal(documents, most)))
    # The tie between equally frequent terms is broken by the term: never by the order of shards.
    ranked = kept.sort_by([("documents", "descending"), (by, "ascending")])
    labels = sum_counts([label_rows(table) for table in tables])
    return with_labels(ranked.slice(0, size).sort_by(by).combine_chunks(), labels)


def with_idf(features: pa.Table, rows: int) -> pa.Table:
    """With ``idf`` (float64) = ln((1 + rows) / (1 + documents)) + 1, scikit-learn's smoothed form."""
    import numpy as np
    import pyarrow as pa

    idf = np.log((1 + rows) / (1 + features["documents"].to_numpy())) + 1.0
    return features.append_column("idf", pa.array(idf, pa.float64()))


def with_labels(table: pa.Table, rows: Mapping[str, int]) -> pa.Table:
    """The table with the rows of each label in its metadata, which Parquet keeps."""
    return table.replace_schema_metadata({_LABELS: json.dumps(dict(sorted(rows.items())), ensure_ascii=False)})


def label_rows(table: pa.Table) -> dict[str, int]:
    """How many rows of each label a table of counts or features knows of, by label."""
    return dict(json.loads((table.schema.metadata or {}).get(_LABELS, b"{}")))


def labels_of(features: pa.Table) -> list[str]:
    """The labels of the train split, sorted: a label's place in it is its id."""
    return sorted(label_rows(features))


def label_ids(batches: Iterable[pa.Table], features: pa.Table) -> Iterator[tuple[pa.Table, list[int]]]:
    """Each batch without the rows whose label the features do not know, and the ids of the others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    labels = pa.array(labels_of(features), pa.string())
    for batch in batches:
        ids = pc.index_in(batch["label"].cast(pa.string()), labels)
        known = batch.filter(pc.is_valid(ids))
        yield known, ids.drop_null().to_pylist()
