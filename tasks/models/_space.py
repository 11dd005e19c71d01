"""Rows as points of a space that all shards share: what is clustered and fitted in numbers.

Every shard counts, and keeps the rows of its smallest uids: together those are the smallest of all rows, a fair
sample that is the same whatever the sharding. What cannot be counted, as directions and starts, comes of the sample.
"""

from __future__ import annotations

import heapq
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from tasks.errors import BadInput, Corrupt
from tasks.models._tfidf import Tfidf, TfidfParams

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tasks.models._tensors import Layout
    from tasks.models.base import Columns

ROW = "row"
"""The column of a table's rows."""
_LONGEST = 20_000
_START = b"nightshift.start"


@dataclass(frozen=True, slots=True)
class Frame:
    """The axes of a space: their names, and the arrays that put a row in its place."""

    terms: list[str]
    arrays: Mapping[str, np.ndarray]


class Space(Protocol):
    """How rows become points."""

    columns: tuple[str, ...]
    """What is read of a row beside its text."""

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        """Map: what a shard contributes, its sample among it."""

    def combine(self, counts: Iterable[pa.Table], rows: int) -> tuple[pa.Table, np.ndarray]:
        """Reduce: the features, one row an axis or term, and the sample's points."""

    def frame(self, features: pa.Table) -> Frame:
        """The axes."""

    def layout(self, terms: int, axes: int) -> Layout:
        """The frame's arrays in a model's file."""

    def points(self, frame: Frame, texts: Sequence[str], columns: Columns) -> np.ndarray:
        """Of each row its point, float64, shape ``(rows, axes)``."""


def started(features: pa.Table, start: Mapping[str, np.ndarray]) -> pa.Table:
    """The features with the arrays that fitting starts from in their metadata, which Parquet keeps."""
    said = json.dumps({name: value.tolist() for name, value in start.items()})
    return features.replace_schema_metadata({**(features.schema.metadata or {}), _START: said})


def start_of(features: pa.Table) -> dict[str, np.ndarray]:
    """What ``started`` kept."""
    import numpy as np

    said = json.loads((features.schema.metadata or {})[_START])
    return {name: np.array(value, np.float64) for name, value in said.items()}


def drawn(sample: Iterable[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """The (uid, row) of the smallest uids, in their order."""
    return heapq.nsmallest(most, sample)


class TextSpace:
    """Latent semantic analysis: TF-IDF, turned to its ``dimensions`` strongest directions, each row of norm 1.

    Deerwester et al., Indexing by Latent Semantic Analysis, 1990; the directions are those of the sample.
    """

    columns: tuple[str, ...] = ()

    def __init__(self, params: TfidfParams, dimensions: int, sample: int, seed: int) -> None:
        self._tfidf = Tfidf(params)
        self._dimensions = dimensions
        self._sample = sample
        self._seed = seed

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        sample: list[tuple[str, str]] = []

        def kept() -> Iterator[pa.Table]:
            nonlocal sample
            for batch in batches:
                texts = [text[:_LONGEST] for text in batch["text"].to_pylist()]
                sample = drawn([*sample, *zip(batch["uid"].to_pylist(), texts, strict=True)], self._sample)
                yield batch

        return _with_sample(self._tfidf.count(kept()), sample)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> tuple[pa.Table, np.ndarray]:
        import numpy as np
        import pyarrow as pa
        from sklearn.decomposition import TruncatedSVD

        tables, sample = _without_sample(counts, self._sample)
        features = self._tfidf.combine(tables, rows)
        terms = features["term"].to_pylist()
        matrix = self._tfidf.matrix([text for _, text in sample], terms, features["idf"].to_numpy()) if terms else None
        axes = 0 if matrix is None else min(self._dimensions, matrix.shape[0] - 1, matrix.shape[1] - 1)
        if matrix is None or axes < 1:
            return features.slice(0, 0), np.zeros((0, 1))  # nothing to learn from, which combine says
        found = TruncatedSVD(axes, random_state=self._seed).fit(matrix)
        directions = np.asarray(found.components_, np.float64).T
        kind = pa.list_(pa.float64(), axes)
        column = pa.FixedSizeListArray.from_arrays(pa.array(directions.ravel(), pa.float64()), axes).cast(kind)
        return features.append_column("directions", column), _unit(matrix @ directions)

    def frame(self, features: pa.Table) -> Frame:
        import numpy as np

        flat = features["directions"].combine_chunks().flatten().to_numpy()
        arrays = {"idf": features["idf"].to_numpy(), "directions": np.array(flat.reshape(features.num_rows, -1))}
        return Frame(features["term"].to_pylist(), arrays)

    def layout(self, terms: int, axes: int) -> Layout:
        return {"idf": ("float64", (terms,)), "directions": ("float64", (terms, axes))}

    def points(self, frame: Frame, texts: Sequence[str], columns: Columns) -> np.ndarray:
        return _unit(self._tfidf.matrix(texts, frame.terms, frame.arrays["idf"]) @ frame.arrays["directions"])


class RowSpace:
    """Columns of a table: numbers less their mean over their deviation; of a category one axis for each value.

    What is missing lies at the mean. A number that never differs, and a category's value that is too rare, is no axis.
    """

    columns: tuple[str, ...] = (ROW,)

    def __init__(self, sample: int, rare: int) -> None:
        self._sample = sample
        self._rare = rare

    def count(self, batches: Iterator[pa.Table]) -> pa.Table:
        import pyarrow as pa

        numbers: dict[str, _Sums] = defaultdict(_Sums)
        values: Counter[str] = Counter()
        sample: list[tuple[str, str]] = []
        for batch in batches:
            rows = batch[ROW].to_pylist()
            for row in rows:
                for name, value in row.items():
                    if isinstance(value, str):
                        values[f"{name}={value}"] += 1
                    elif value is not None:
                        numbers[name].add(value)
            sample = drawn([*sample, *zip(batch["uid"].to_pylist(), map(_json, rows), strict=True)], self._sample)
        counted = [
            {"term": name, "documents": sums.count, "total": str(sums.total), "squares": str(sums.squares)}
            for name, sums in numbers.items()
        ]
        counted += [{"term": name, "documents": n} for name, n in values.items()]
        kinds = [pa.large_string(), pa.int64(), pa.string(), pa.string()]
        schema = pa.schema(list(zip(_NAMES, kinds, strict=True)))
        table = pa.Table.from_pylist(sorted(counted, key=lambda row: str(row["term"])), schema=schema)
        return _with_sample(table, sample)

    def combine(self, counts: Iterable[pa.Table], rows: int) -> tuple[pa.Table, np.ndarray]:
        import numpy as np
        import pyarrow as pa

        tables, sample = _without_sample(counts, self._sample)
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for each in pa.concat_tables(tables).to_pylist():
            found[each["term"]].append(each)
        axes = [_axis(name, found[name], rows) for name in sorted(found)]
        kept = [axis for axis in axes if axis["documents"] >= self._rare and axis["scale"] > 0]
        schema = pa.schema(
            [("term", pa.large_string()), ("documents", pa.int64()), ("mean", pa.float64()), ("scale", pa.float64())]
        )
        features = pa.Table.from_pylist(kept, schema=schema)
        given = [json.loads(row) for _, row in sample]
        return features, self.points(self.frame(features), [], {ROW: given}) if kept else np.zeros((0, 1))

    def frame(self, features: pa.Table) -> Frame:
        arrays = {"mean": features["mean"].to_numpy(), "scale": features["scale"].to_numpy()}
        return Frame(features["term"].to_pylist(), arrays)

    def layout(self, terms: int, axes: int) -> Layout:
        if terms != axes:
            raise Corrupt(f"a model of {terms} columns has {axes} axes")
        return {"mean": ("float64", (terms,)), "scale": ("float64", (terms,))}

    def points(self, frame: Frame, texts: Sequence[str], columns: Columns) -> np.ndarray:
        import numpy as np

        places = {name: place for place, name in enumerate(frame.terms)}
        rows: Sequence[Any] = columns[ROW]
        points = np.full((len(rows), len(frame.terms)), np.nan)
        spread = {name.split("=", 1)[0] for name in frame.terms if "=" in name}
        groups = {name: [p for term, p in places.items() if term.startswith(f"{name}=")] for name in spread}
        for point, row in zip(points, rows, strict=True):
            for name, value in row.items():
                if isinstance(value, str):
                    point[groups.get(name, [])] = 0.0
                    name, value = f"{name}={value}", 1.0
                if value is not None and name in places:
                    point[places[name]] = value
        placed = (points - frame.arrays["mean"]) / frame.arrays["scale"]
        return np.asarray(np.nan_to_num(placed, nan=0.0))


_NAMES = ["term", "documents", "total", "squares"]


class _Sums:
    """A column's exact sums: fractions, so that no order of rows and shards changes a bit of what comes of them."""

    def __init__(self) -> None:
        self.count = 0
        self._totals: Counter[int] = Counter()  # numerators by denominator: a few powers of two
        self._squares: Counter[int] = Counter()

    def add(self, value: float) -> None:
        numerator, denominator = value.as_integer_ratio()
        self.count += 1
        self._totals[denominator] += numerator
        self._squares[denominator * denominator] += numerator * numerator

    @property
    def total(self) -> Fraction:
        return sum((Fraction(n, d) for d, n in self._totals.items()), Fraction())

    @property
    def squares(self) -> Fraction:
        return sum((Fraction(n, d) for d, n in self._squares.items()), Fraction())


def _axis(name: str, counts: Sequence[Mapping[str, Any]], rows: int) -> dict[str, Any]:
    """Mean and deviation of one axis over the rows that have it; of a category's value: 1 where it is, else 0."""
    n = sum(each["documents"] for each in counts)
    if counts[0]["total"] is None:
        mean = Fraction(n, rows)
        variance = mean * (1 - mean)
    else:
        mean = sum((Fraction(each["total"]) for each in counts), Fraction()) / n
        variance = sum((Fraction(each["squares"]) for each in counts), Fraction()) / n - mean * mean
    return {"term": name, "documents": n, "mean": float(mean), "scale": math.sqrt(variance)}


def _json(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, sort_keys=True)


def _with_sample(table: pa.Table, sample: Sequence[tuple[str, str]]) -> pa.Table:
    """A shard's counts with its sample below them, as rows without a term."""
    import pyarrow as pa

    metadata = table.schema.metadata
    columns = {
        "uid": pa.array([uid for uid, _ in sample], pa.string()),
        "row": pa.array([row for _, row in sample], pa.large_string()),
    }
    both = pa.concat_tables([table, pa.table(columns)], promote_options="default")
    return both.replace_schema_metadata(metadata)


def _without_sample(counts: Iterable[pa.Table], most: int) -> tuple[list[pa.Table], list[tuple[str, str]]]:
    """The shards' counts, and the sample of all their rows.

    Raises:
        BadInput: the counts are not of this recipe.
    """
    import pyarrow.compute as pc

    tables, sample = [], []
    for table in counts:
        if "uid" not in table.column_names:
            raise BadInput("these counts have no sample: prepare every shard again")
        below = table.filter(pc.is_null(table["term"]))
        sample += list(zip(below["uid"].to_pylist(), below["row"].to_pylist(), strict=True))
        tables.append(table.filter(pc.is_valid(table["term"])).drop_columns(["uid", "row"]))
    return tables, drawn(sample, most)


def _unit(points: np.ndarray) -> np.ndarray:
    import numpy as np

    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.where(lengths > 0, lengths, 1.0), np.float64)
