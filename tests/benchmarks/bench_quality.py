"""How well each recipe learns the harder demo corpus, beside a plain script of one process on the same split.

    python -m tests.benchmarks.bench_quality [--folder FOLDER] [--recipes NAME …] [--seeds 3]

The label is the submodule that a page documents, some fifty of them with a dozen pages each. Every recipe goes
through the real commands from ``prepare`` to ``evaluate``; the plain script reads the same Parquet files and is
what one would write with scikit-learn or Keras by hand, its one hyperparameter chosen on validation. ``margin`` is
how much more macro-F1 on the test split the recipe has than its script, both as means over seeds; ``error`` is its
standard error by the seeds' chance, ``encoder_over_forest`` what text_encoder has over tfidf_forest. Prints a table
and writes build/bench/quality.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, variance
from typing import Any

import yaml

from containers.embedded.render import ROOT
from tests.benchmarks.submodules import CORPUS, build, nightshift

TARGET = ROOT / "build" / "bench" / "quality.json"
SPLITS = ("train", "validation", "test")
Rows = tuple[list[str], list[str]]
"""Texts and labels."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where site and store lie; what is there is not made again")
    parser.add_argument("--recipes", nargs="+", choices=sorted(PLAIN), default=sorted(PLAIN))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryDirectory() as scratch:
        report = bench((arguments.folder or Path(scratch)).absolute(), arguments.recipes, arguments.seeds)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(report, indent=1) + "\n")
    heads = " ".join(f"{head:>9}" for head in ("macro-F1", "plain", "margin", "error"))
    print(f"{'recipe':14} {heads}   on {report['rows']['test']} rows of test")
    for name, scores in report["recipes"].items():
        recipe, plain = scores["test"]["macro_f1"], scores["plain"]["test"]["macro_f1"]
        print(f"{name:14} {recipe:9.4f} {plain:9.4f} {scores['margin']:+9.4f} {scores['error']:9.4f}")
    if "encoder_over_forest" in report:
        print(f"text_encoder over tfidf_forest: {report['encoder_over_forest']:+.4f}")


def bench(folder: Path, recipes: list[str], seeds: int) -> dict[str, Any]:
    """Scores of each recipe and its script on validation and test."""
    store, snapshot = build(folder)
    data = {split: rows(store, snapshot, split) for split in SPLITS}
    report: dict[str, Any] = {
        "rows": {split: len(labels) for split, (_, labels) in data.items()},
        "labels": len(set(data["train"][1])),
        "recipes": {},
    }
    for name in recipes:
        ours = [trained(folder, store, snapshot, name, seed) for seed in range(seeds)]
        theirs = [PLAIN[name](data, seed) for seed in range(seeds)]
        scores = {**_means(ours), "plain": _means(theirs), "seeds": {"recipe": ours, "plain": theirs}}
        scores["margin"] = round(scores["test"]["macro_f1"] - scores["plain"]["test"]["macro_f1"], 4)
        scores["error"] = round(_error(ours, theirs), 4)
        report["recipes"][name] = scores
        print(f"{name}: {json.dumps(scores)}", flush=True)
    if {"text_encoder", "tfidf_forest"} <= set(recipes):
        both = [report["recipes"][name]["test"]["macro_f1"] for name in ("text_encoder", "tfidf_forest")]
        report["encoder_over_forest"] = round(both[0] - both[1], 4)
    return report


def trained(folder: Path, store: str, snapshot: str, recipe: str, seed: int) -> dict[str, Any]:
    """The recipe with its default parameters, through the commands of its chain; what its report says."""
    corpus = folder / recipe / CORPUS.name
    corpus.parent.mkdir(exist_ok=True)
    values = yaml.safe_load(CORPUS.read_text())
    values["train"] |= {"recipe": recipe, "seed": seed}
    values["resources"] = {"workers": 1}
    corpus.write_text(yaml.safe_dump(values))

    def run(step: str, *arguments: str) -> dict[str, Any]:
        return nightshift(store, step, "--snapshot", snapshot, *arguments, corpus=corpus)

    run("prepare", "--shard", "0/1")
    run("combine")
    if recipe != "tfidf_forest":
        run("encode", "--shard", "0/1")
    run("train")
    run("evaluate", "--part", "0/1")
    run("merge")
    manifest = Path(run("evaluate")["manifest"].removeprefix("file://"))
    metrics = json.loads(manifest.read_text())["details"]["metrics"]
    names = ("accuracy", "macro_f1", "auc")
    return {split: {name: round(metrics[split][name], 4) for name in names} for split in ("validation", "test")}


def rows(store: str, snapshot: str, split: str) -> Rows:
    """The labelled rows of one split, read as a script would."""
    import pyarrow.parquet as pq

    root = Path(store.removeprefix("file://"))
    manifest = json.loads((root / "snapshots" / CORPUS.stem / snapshot / "_manifest.json").read_text())
    texts: list[str] = []
    labels: list[str] = []
    for entry in (entry for entry in manifest["files"] if entry["role"] == split):
        table = pq.read_table(root / entry["key"], columns=["text", "label"])
        for text, label in zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True):
            if label is not None:
                texts.append(text)
                labels.append(label)
    return texts, labels


def plain_forest(data: dict[str, Rows], seed: int) -> dict[str, Any]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    forest = RandomForestClassifier(200, max_features=0.05, random_state=seed)
    pipeline = make_pipeline(TfidfVectorizer(min_df=2, max_features=20_000), forest).fit(*data["train"])
    return {split: _scores(data[split][1], pipeline.predict(data[split][0])) for split in SPLITS[1:]}


def plain_logistic(data: dict[str, Rows], seed: int) -> dict[str, Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def fitted(strength: float) -> Any:
        model = LogisticRegression(C=strength, max_iter=500, random_state=seed)
        return make_pipeline(TfidfVectorizer(min_df=2, sublinear_tf=True), model).fit(*data["train"])

    found = {}
    for strength in (1, 10, 100):
        pipeline = fitted(strength)
        found[strength] = {split: _scores(data[split][1], pipeline.predict(data[split][0])) for split in SPLITS[1:]}
    return _best(found, "C")


def plain_network(data: dict[str, Rows], seed: int) -> dict[str, Any]:
    """The tutorial's network: vectors of words, a convolution, the strongest answer; the best epoch on validation."""
    import keras
    import numpy as np
    from keras import layers

    keras.utils.set_random_seed(seed)
    names = sorted(set(data["train"][1]))
    words = layers.TextVectorization(max_tokens=20_000, output_sequence_length=512)
    words.adapt(data["train"][0])
    tokens = {split: np.asarray(words(texts)) for split, (texts, _) in data.items()}
    network = keras.Sequential(
        [
            keras.Input((512,), dtype="int64"),
            layers.Embedding(words.vocabulary_size(), 64),
            layers.Conv1D(128, 3, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dropout(0.3),
            layers.Dense(len(names), activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    truth = np.array([names.index(label) for label in data["train"][1]])
    found = {}
    for epoch in range(5, 31, 5):
        network.fit(tokens["train"], truth, batch_size=32, epochs=5, verbose=0)
        guesses = {split: network.predict(tokens[split], verbose=0).argmax(axis=1) for split in SPLITS[1:]}
        found[epoch] = {split: _scores(data[split][1], [names[i] for i in guesses[split]]) for split in SPLITS[1:]}
    return _best(found, "epochs")


PLAIN: dict[str, Callable[[dict[str, Rows], int], dict[str, Any]]] = {
    "logistic": plain_logistic,
    "text_encoder": plain_network,
    "tfidf_forest": plain_forest,
}


def _means(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """The means over seeds, of each split and measure."""
    return {
        split: {name: round(fmean(each[split][name] for each in scores), 4) for name in scores[0][split]}
        for split in SPLITS[1:]
    }


def _error(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> float:
    """The standard error of the difference of two means over seeds; 0 of a single one."""
    sides = [[each["test"]["macro_f1"] for each in scores] for scores in (ours, theirs)]
    return math.sqrt(sum(variance(side) / len(side) for side in sides if len(side) > 1))


def _best(found: dict[int, dict[str, Any]], name: str) -> dict[str, Any]:
    best = max(found, key=lambda value: found[value]["validation"]["macro_f1"])
    return {name: best, **found[best]}


def _scores(truths: list[str], guesses: Any) -> dict[str, float]:
    """As the reports have them: macro-F1 over the labels that occur in the split."""
    from sklearn.metrics import accuracy_score, f1_score

    macro = f1_score(truths, guesses, average="macro", labels=sorted(set(truths)))
    return {"accuracy": round(float(accuracy_score(truths, guesses)), 4), "macro_f1": round(float(macro), 4)}


if __name__ == "__main__":
    main()
