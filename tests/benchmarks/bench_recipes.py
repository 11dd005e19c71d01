"""Each sharded recipe through the chain, beside a plain script of its library on the same split.

    make bench-recipes, or python -m tests.benchmarks.bench_recipes [--only svm] [--shards 2]

The chain ingests real data that the libraries bring (pydoc, scikit-learn) and trains one part, and then ``shards``
parts that it merges: what that costs is ``sharding``, and on a few hundred rows it is most for single trees. The
plain script fits scikit-learn alone, in one process, on all rows of the train split of the snapshot. All are scored
on its test split, which none saw. Of clusters it is how well they agree with labels that nobody trained on: the
silhouettes of two models lie in different spaces. Writes build/bench/recipes.json; ends with 1 where a recipe of one
part lacks more than ``NOISE`` to its library.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from tasks.training import Training
from tests.benchmarks.recipes import plain
from tests.chain import Chain
from tests.offline import corpus, diabetes, documentation, wine, write

TARGET = Path("build/bench/recipes.json")
NOISE = 0.03
"""About two standard errors of a share of some hundred test rows lie further apart than this."""


@dataclass(frozen=True, slots=True)
class Case:
    """One recipe on one set of data; ``script`` takes the train and test rows, and gives ``measure`` on test."""

    data: str
    recipe: Any
    measure: str
    script: Callable[[pa.Table, pa.Table], float]


CASES: Mapping[str, Case] = {
    "naive_bayes": Case("documentation", "naive_bayes", "macro_f1", plain.naive_bayes),
    "svm": Case("documentation", "svm", "macro_f1", plain.svm),
    "decision_tree": Case("documentation", "decision_tree", "macro_f1", plain.decision_tree),
    "tfidf_forest": Case("documentation", "tfidf_forest", "macro_f1", plain.forest),
    "kmeans": Case("documentation", {"kmeans": {"clusters": 10}}, "mutual_information", plain.kmeans),
    "gaussian_mixture": Case(
        "documentation", {"gaussian_mixture": {"clusters": 10}}, "mutual_information", plain.mixture
    ),
    "kmeans of rows": Case("wine", {"kmeans": {"clusters": 3, "on": "row"}}, "mutual_information", plain.row_kmeans),
    "gaussian_mixture of rows": Case(
        "wine", {"gaussian_mixture": {"clusters": 3, "on": "row"}}, "mutual_information", plain.row_mixture
    ),
    "linear_regression": Case("diabetes", "linear_regression", "r2", plain.linear),
    "gradient_boosting": Case("diabetes", "gradient_boosting", "r2", plain.boosting),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(CASES), action="append")
    parser.add_argument("--shards", type=int, default=2)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    report: dict[str, Any] = {"noise": NOISE, "shards": arguments.shards, "recipes": {}}
    missed = []
    print(f"{'recipe':26} {'measure':20} {'chain':>8} {'plain':>8} {'gain':>8} {'sharding':>8}")
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        ingested: dict[str, Path] = {}
        for name in arguments.only or CASES:
            figures = measure(CASES[name], Path(folder), ingested, arguments.shards)
            report["recipes"][name] = figures
            print(
                f"{name:26} {figures['measure']:20} {figures['chain']:8.4f} {figures['plain']:8.4f} "
                f"{figures['gain']:+8.4f} {figures['sharding']:+8.4f}",
                flush=True,
            )
            missed += [name] if figures["gain"] < -NOISE else []
    report["missed"] = missed
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(report, indent=1) + "\n")
    print("missed: " + ", ".join(missed) if missed else "no recipe lacks more than noise to its library")
    return 1 if missed else 0


def measure(case: Case, folder: Path, ingested: dict[str, Path], shards: int) -> dict[str, Any]:
    """What the chain's candidate and the plain script reach on the test split."""
    chain = _chain(case, folder, 1)
    if case.data not in ingested:
        chain.ingest(gates=False)
        ingested[case.data] = folder
    started = time.monotonic()
    training = chain.retrain(gates=False, promoted=False)
    seconds = time.monotonic() - started
    ours = chain.metrics(training)["test"][case.measure]
    spread = _chain(case, folder, shards)
    merged = spread.metrics(spread.retrain(gates=False, promoted=False))["test"][case.measure]
    train, test = (_rows(chain, training, split) for split in ("train", "test"))
    started = time.monotonic()
    theirs = case.script(train, test)
    return {
        "data": case.data,
        "measure": case.measure,
        "rows": {"train": train.num_rows, "test": test.num_rows},
        "chain": round(float(ours), 4),
        "plain": round(float(theirs), 4),
        "gain": round(float(ours) - float(theirs), 4),
        "merged": round(float(merged), 4),
        "sharding": round(float(merged) - float(ours), 4),
        "chain_seconds": round(seconds, 2),
        "plain_seconds": round(time.monotonic() - started, 2),
    }


def _chain(case: Case, folder: Path, shards: int) -> Chain:
    train = {"recipe": case.recipe, "shards": shards, "merge_tolerance": 1.0}
    place = folder / case.data
    place.mkdir(exist_ok=True)
    path = place / "rows.jsonl"
    if case.data == "documentation":
        if not path.exists():
            write(documentation(), path)
        return Chain(place, corpus("docs", path, train, label="label"))
    rows, kind = {"wine": wine, "diabetes": diabetes}[case.data]()
    if not path.exists():
        write(rows, path)
    return Chain(place, corpus("docs", path, train, label="label" if case.data == "wine" else None, kind=kind))


def _rows(chain: Chain, training: Training, split: str) -> pa.Table:
    with tempfile.TemporaryDirectory() as scratch:
        tables = [
            pq.read_table(chain.context.catalog.fetch(entry, Path(scratch) / f"{number}.parquet"))
            for number, entry in enumerate(training.snapshot.of_role(split))
        ]
    return pa.concat_tables(tables)


if __name__ == "__main__":
    np.seterr(all="ignore")
    raise SystemExit(main())
