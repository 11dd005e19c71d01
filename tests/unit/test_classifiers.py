"""svm and decision_tree: against scikit-learn, calibrated, and through shards that lack classes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from tasks.errors import BadInput, Corrupt
from tasks.models import _skops
from tasks.models._classifier import Classifier, ClassifierModel
from tasks.models._voting import Votes, Voting
from tasks.models.decision_tree import DecisionTree, DecisionTreeParams
from tasks.models.svm import Svm, SvmParams
from tasks.step import Shard

WORDS = [f"word{i}" for i in range(30)]
MAKE = {
    "svm": lambda seed=0, **params: Svm(SvmParams(min_df=1, **params), seed),
    "decision_tree": lambda seed=0, **params: DecisionTree(DecisionTreeParams(min_df=1, **params), seed),
}


def topics(count: int, labels: str = "abc", seed: int = 0, noise: float = 0.3) -> list[tuple[str, str]]:
    """Rows whose label shows in one of their words, most of the time."""
    chance = random.Random(seed)
    rows = []
    for i in range(count):
        label = labels[i % len(labels)]
        said = chance.choice(labels) if chance.random() < noise else label
        words = [*chance.choices(WORDS, k=9), f"{said}sign"]
        chance.shuffle(words)
        rows.append((" ".join(words), label))
    return rows


def table(rows: list[tuple[str, str]]) -> pa.Table:
    return pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]})


def fitted(made: Classifier, *shards: list[tuple[str, str]]) -> list[ClassifierModel]:
    features = made.combine([made.count(iter([table(rows)])) for rows in shards], sum(map(len, shards)))
    return [
        made.fit(iter([table(rows)]), features, Shard(place, len(shards)))  #
        for place, rows in enumerate(shards)
    ]


@pytest.mark.parametrize("labels", ["ab", "abcd"])
@pytest.mark.parametrize("name", MAKE)
def test_one_shard_is_scikit_learns_calibrated_classifier(name: str, labels: str) -> None:
    made, rows = MAKE[name](), topics(160, labels)
    (model,) = fitted(made, rows)
    texts, said = [text for text, _ in rows], np.array([label for _, label in rows])
    seed = int(np.random.SeedSequence([0, 0]).generate_state(1)[0])
    vectorizer = TfidfVectorizer(sublinear_tf=name == "svm", dtype=np.float32).fit(texts)
    estimator = {
        "svm": LinearSVC(max_iter=10_000, random_state=seed),
        "decision_tree": DecisionTreeClassifier(random_state=seed),
    }[name]
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    theirs = CalibratedClassifierCV(estimator, cv=folds, ensemble=False).fit(vectorizer.transform(texts), said)
    unseen = [text for text, _ in topics(60, labels, seed=5)]
    expected = theirs.predict_proba(vectorizer.transform(unseen))
    np.testing.assert_allclose(made.predict(model, unseen), expected, atol=2e-3)


@pytest.mark.parametrize("name", MAKE)
def test_probabilities_say_how_often_it_is_right(name: str) -> None:
    made, rows = MAKE[name](), topics(900)
    (model,) = fitted(made, rows)
    unseen = topics(900, seed=9)
    chances = made.predict(model, [text for text, _ in unseen])
    right = np.mean([made.labels(model)[i] == label for i, (_, label) in zip(chances.argmax(1), unseen, strict=True)])
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert abs(chances.max(axis=1).mean() - right) < 0.05
    assert right > 0.6


@pytest.mark.parametrize("name", MAKE)
def test_shards_that_lack_classes_vote_over_all_of_them(name: str) -> None:
    made = MAKE[name]()
    rows = topics(90, noise=0)
    parts = fitted(
        made,
        [row for row in rows if row[1] == "a"],
        [row for row in rows if row[1] != "a"],
        [*rows[:40], ("single dsign", "d")],
    )
    assert [made.labels(part) for part in parts] == [["a"], ["b", "c"], ["a", "b", "c", "d"]]
    assert made.predict(parts[0], ["bsign"]).tolist() == [[1.0]]
    votes, voting = Votes(parts, [0.2, 0.4, 0.4]), Voting(made, [0.2, 0.4, 0.4])
    chances = voting.predict(votes, ["csign", "bsign", ""])
    assert voting.labels(votes) == ["a", "b", "c", "d"]
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert [voting.labels(votes)[i] for i in chances[:2].argmax(axis=1)] == ["c", "b"]
    with pytest.raises(BadInput, match="they vote"):
        made.merge(parts, [0.2, 0.4, 0.4])


@pytest.mark.parametrize("labels", ["a", "ab", "abc"])
@pytest.mark.parametrize("name", MAKE)
def test_a_saved_model_predicts_the_same(name: str, labels: str, tmp_path: Path) -> None:
    made = MAKE[name]()
    (model,) = fitted(made, topics(60, labels))
    made.save(model, tmp_path)
    loaded = made.load(tmp_path)
    texts = [text for text, _ in topics(20, labels, seed=3)]
    np.testing.assert_array_equal(made.predict(loaded, texts), made.predict(model, texts))
    assert made.facts(loaded) == made.facts(model)
    assert made.predict(model, []).shape == (0, len(labels))


_FIT_AND_SAVE = """
import hashlib, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_classifiers import MAKE, fitted, topics
made = MAKE[{name!r}](seed=5)
(model,) = fitted(made, topics(60))
made.save(model, Path({folder!r}))
print(hashlib.sha256((Path({folder!r}) / "model.skops").read_bytes()).hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKE)
def test_two_processes_make_the_same_bytes_from_the_same_seed(name: str, tmp_path: Path) -> None:
    code = _FIT_AND_SAVE.format(tests=str(Path(__file__).parent), name=name, folder=str(tmp_path))
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in "12"
    }
    assert len(said) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"estimator": LogisticRegression()}, "LogisticRegression"),
        ({"labels": ["a", "b"]}, "slopes is not 2"),
        ({"slopes": np.array([1.0, np.nan, 1.0])}, "slopes is not 3 finite"),
        ({"estimator": None}, "does not tell them apart"),
        ({"terms": "one\ntwo"}, "idf is not 2"),
        ({"more": 1}, "does not hold"),
    ],
)
@pytest.mark.parametrize("name", MAKE)
def test_a_file_that_does_not_fit_together_is_refused(
    name: str, change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    made = MAKE[name]()
    (model,) = fitted(made, topics(30))
    made.save(model, tmp_path)
    value = _skops.read(tmp_path / "model.skops", frozenset({"builtins.dict", "builtins.list", *made.types}) | _PLAIN)
    _skops.write({**value, **change}, tmp_path / "model.skops")
    with pytest.raises(Corrupt, match=said):
        made.load(tmp_path)


_PLAIN = frozenset({"builtins.tuple", "builtins.str", "numpy.ndarray", "numpy.int64"})


def test_a_tree_or_machine_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    for name, said in (("svm", "the machine has weights"), ("decision_tree", "outside its own arrays")):
        made = MAKE[name]()
        (model,), (other,) = fitted(made, topics(30)), fitted(made, topics(60, "abc"), [("more", "a")])[:1]
        assert len(other.terms) != len(model.terms)
        made.save(ClassifierModel(other.terms, other.idf, model.labels, model.estimator, model.sigmoids), tmp_path)
        with pytest.raises(Corrupt, match=said):
            made.load(tmp_path)


def test_a_pruned_tree_is_smaller_and_a_flat_one_flat() -> None:
    rows = topics(200)
    facts = {
        name: MAKE["decision_tree"](**params).facts(fitted(MAKE["decision_tree"](**params), rows)[0])
        for name, params in {"whole": {}, "pruned": {"pruning": 0.02}, "flat": {"max_depth": 2}}.items()
    }
    assert facts["pruned"]["nodes"] < facts["whole"]["nodes"]
    assert facts["flat"]["depth"] == 2
