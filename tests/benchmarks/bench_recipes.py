"""Each recipe through the chain, beside a plain script of its library on the same split.

    make bench-recipes, or python -m tests.benchmarks.bench_recipes [--only svm] [--shards 2]

The chain ingests real data that the libraries bring (pydoc, scikit-learn, their source) and trains one part, and then
``shards`` parts that it merges (or on so many workers, where they train in step): what that costs is ``sharding``, and
on a few hundred rows it is most for single trees. The plain script fits scikit-learn or Keras alone, in one process,
on all rows of the train split of the snapshot; ``a share`` is the same on the rows of one shard, so that what fewer
rows cost is not taken for what merging costs. Where chance decides much, as in trees and networks, both are a mean
over some seeds, and ``error`` is the standard error of the gain by the seeds' chance. All are scored on its test
split, which none saw. Of clusters it is how well they agree with labels that nobody trained on: the silhouettes of
two models lie in different spaces. Writes build/bench/recipes.json; ends with 1 where a recipe of one part lacks more
than ``NOISE`` to its library.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from containers.embedded.data.make import make
from tasks.config import yaml12
from tasks.training import Training
from tests.benchmarks.recipes import deep, keras, plain
from tests.chain import Chain
from tests.offline import corpus, diabetes, documentation, wine, write

TARGET = Path("build/bench/recipes.json")
CORPORA = Path("dags/corpora")
NOISE = 0.03
"""About two standard errors of a share of some hundred test rows lie further apart than this."""
SEEDS = 5


@dataclass(frozen=True, slots=True)
class Case:
    """One recipe on one set of data; ``script`` takes train and test rows and a seed, and gives ``measure`` on test.

    ``recipe``: None is that of the corpus. ``seeds``: so many trainings of the chain, and of the script, are averaged.
    ``falling``: less is better, and a gain is a share of it.
    """

    data: str
    recipe: Any
    measure: str
    script: Callable[[pa.Table, pa.Table, int], float]
    seeds: int = 1
    falling: bool = False

    def gain(self, ours: float, theirs: float) -> float:
        return (theirs - ours) / theirs if self.falling else ours - theirs


CASES: Mapping[str, Case] = {
    "naive_bayes": Case("documentation", "naive_bayes", "macro_f1", plain.naive_bayes),
    "svm": Case("documentation", "svm", "macro_f1", plain.svm),
    "decision_tree": Case("documentation", "decision_tree", "macro_f1", plain.decision_tree, SEEDS),
    "tfidf_forest": Case("documentation", "tfidf_forest", "macro_f1", plain.forest, SEEDS),
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
    "recommender": Case("imports", "recommender", "ndcg_10", keras.factorisation),
    "recommender beside SVD": Case("imports", "recommender", "ndcg_10", keras.pure_svd),
    "summarizer": Case("summaries", {"summarizer": {"sentences": 1}}, "rouge_1", keras.sentences, SEEDS),
    "image_vgg16": Case("images", None, "accuracy", deep.vgg),
    "lstm_tagger": Case("tags", None, "f1", deep.tagger),
    "language_model": Case("text", None, "perplexity", deep.next_subword, 3, falling=True),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(CASES), action="append")
    parser.add_argument("--shards", type=int, default=2)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    report: dict[str, Any] = {"noise": NOISE, "shards": arguments.shards, "recipes": {}}
    missed = []
    columns = ("chain", "plain", "gain", "error", "sharding", "share")
    print(f"{'recipe':26} {'measure':20} " + " ".join(f"{column:>8}" for column in columns))
    with tempfile.TemporaryDirectory(prefix="nightshift-bench-") as folder:
        ingested: dict[str, Path] = {}
        for name in arguments.only or CASES:
            figures = measure(CASES[name], Path(folder), ingested, arguments.shards)
            report["recipes"][name] = figures
            print(
                f"{name:26} {figures['measure']:20} " + " ".join(f"{figures[column]:8.4f}" for column in columns),
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
    first = _chain(case, folder, 1)
    if case.data not in ingested:
        first.ingest(gates=False)
        ingested[case.data] = folder
    started = time.monotonic()
    alone = [_trained(_chain(case, folder, 1, seed), case) for seed in range(case.seeds)]
    seconds = (time.monotonic() - started) / case.seeds
    ours = [score for score, _ in alone]
    merged = np.mean([_trained(_chain(case, folder, shards, seed), case)[0] for seed in range(case.seeds)])
    train, test = (_rows(first, alone[0][1], split) for split in ("train", "test"))
    started = time.monotonic()
    theirs = [case.script(train, test, seed) for seed in range(case.seeds)]
    plain_seconds = (time.monotonic() - started) / case.seeds
    shares = [] if alone[0][1].mirrored else [np.arange(i, train.num_rows, shards) for i in range(shards)]
    seen = [case.script(train.take(rows), test, seed) for rows in shares for seed in range(case.seeds)]
    one, other = float(np.mean(ours)), float(np.mean(theirs))
    return {
        "data": case.data,
        "measure": case.measure,
        "rows": {"train": train.num_rows, "test": test.num_rows},
        "seeds": {"chain": np.round(ours, 4).tolist(), "plain": np.round(theirs, 4).tolist()},
        "chain": round(one, 4),
        "plain": round(other, 4),
        "gain": round(case.gain(one, other), 4),
        "error": round(_error(ours, theirs) / (other if case.falling else 1), 4),
        "merged": round(float(merged), 4),
        "sharding": round(case.gain(float(merged), one), 4),
        "share": round(float(np.mean(seen or theirs)), 4),
        "chain_seconds": round(seconds, 2),
        "plain_seconds": round(plain_seconds, 2),
    }


def _error(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The standard error of the difference of two means over seeds; 0 of a single one."""
    return math.sqrt(sum(np.var(scores, ddof=1) / len(scores) for scores in (ours, theirs) if len(scores) > 1))


def _trained(chain: Chain, case: Case) -> tuple[float, Training]:
    training = chain.retrain(gates=False, promoted=False)
    return float(chain.metrics(training)["test"][case.measure]), training


def _chain(case: Case, folder: Path, shards: int, seed: int = 0) -> Chain:
    train = {"recipe": case.recipe, "shards": shards, "seed": seed, "merge_tolerance": 1.0}
    place = folder / case.data
    place.mkdir(exist_ok=True)
    if (CORPORA / f"{case.data}.yaml").exists():
        # One of the demo's: its file as it is, with the data in place.
        data = make(place / "data", case.data)
        found = yaml12.parse((CORPORA / f"{case.data}.yaml").read_text())
        (source,) = found["source"]["live"].values()
        source["path"] = source["path"].replace(f"${{NIGHTSHIFT_DEMO_DATA:-demo}}/{case.data}", str(data))
        train["recipe"] = case.recipe or found["train"]["recipe"]
        return Chain(place, {**found, "train": {**train, "slices": []}, "resources": {"workers": shards}})
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
