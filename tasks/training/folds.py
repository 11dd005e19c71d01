"""The folds of a cross-validation: parts of the train split, each judged by a model that never saw it."""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.catalog import Input, Manifest
from tasks.errors import BadInput
from tasks.models.base import labelled
from tasks.snapshot import STEP, snapshot_folder
from tasks.step import Context, Shard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tasks.training.runs import Training

SPLITS = ("train", "validation")
_ROWS_A_GROUP = 1024


def fold_snapshot(context: Context, training: Training, fold: Shard, apart: Context) -> Manifest:
    """Commit, on the store of ``apart``, the train split of a training without one fold as its train split, and the
    fold as its validation split. The test split, and the validation split of the training itself, stay unread.

    Raises:
        BadInput: there are fewer rows, or groups of rows, than folds.
    """
    name = f"{training.snapshot_id}-{fold.folder}"
    folder = snapshot_folder(training.corpus.corpus, name)
    entries = training.snapshot.of_role("train")
    with tempfile.TemporaryDirectory(prefix="nightshift-fold-") as scratch:
        paths = [context.catalog.fetch(entry, Path(scratch) / f"{i}.parquet") for i, entry in enumerate(entries)]
        folds = assigned(paths, training, fold.count)
        files = []
        for split in SPLITS:
            path = Path(scratch) / f"{split}.parquet"
            rows = _write(paths, (folds == fold.index) == (split == "validation"), path)
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            files.append(apart.catalog.add_file(folder, split, path, sha256, rows=rows))
    manifest = Manifest(
        step=STEP.name,
        corpus=training.corpus.corpus,
        partition=name,
        fingerprint=name,
        code=STEP.code(),
        config="",
        inputs=(
            Input(
                name=snapshot_folder(training.corpus.corpus, training.snapshot_id), digest=training.snapshot.digest()
            ),
        ),
        files=tuple(files),
    )
    apart.catalog.commit(folder, manifest)
    return manifest


def assigned(paths: list[Path], training: Training, count: int) -> NDArray[np.int64]:
    """The fold of each row, drawn by the training's seed.

    Each label's rows are spread evenly over the folds; where the corpus is split by group, a group is in one fold.
    """
    by_group = training.corpus.split.strategy.name == "group"
    key = "group" if by_group else "uid"
    label = training.corpus.train.label
    stratified = labelled(training.recipe) and not by_group
    if not paths:
        raise BadInput(f"the train split of snapshot {training.snapshot_id} ({training.corpus.corpus}) has no rows")
    columns = pa.concat_tables([pq.read_table(path, columns=list({key, label})) for path in paths])
    keys, labels = columns[key].to_pylist(), columns[label].to_pylist()
    strata: dict[str, list[str]] = defaultdict(list)
    for each, name in dict(zip(keys, labels, strict=True)).items():
        strata[str(name) if stratified else ""].append(str(each))
    found = sum(map(len, strata.values()))
    if found < count:
        raise BadInput(
            f"crossvalidate.folds is {count}, but the train split of snapshot {training.snapshot_id} "
            f"({training.corpus.corpus}) has {found} {'groups' if by_group else 'rows'}: lower it to at most {found}"
        )
    fold: dict[str, int] = {}
    for members in (strata[name] for name in sorted(strata)):
        members.sort(key=lambda each: hashlib.sha256(f"{training.corpus.train.seed}:{each}".encode()).digest())
        start = len(fold)  # small labels must not all lie in the first folds
        fold.update({each: (start + place) % count for place, each in enumerate(members)})
    return np.array([fold[str(each)] for each in keys], np.int64)


def _write(paths: list[Path], chosen: NDArray[np.bool_], target: Path) -> int:
    """The chosen rows of some files as one; returns how many."""
    with pq.ParquetWriter(target, pq.read_schema(paths[0]), compression="zstd") as writer:
        start = 0
        for batch in _batches(paths):
            writer.write_batch(batch.filter(pa.array(chosen[start : start + batch.num_rows])))
            start += batch.num_rows
    return int(chosen.sum())


def _batches(paths: list[Path]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=_ROWS_A_GROUP)
