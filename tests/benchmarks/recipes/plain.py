"""Scripts as a practitioner writes them: scikit-learn alone, one process, all rows of the train split at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.metrics import f1_score, normalized_mutual_info_score, r2_score
from sklearn.mixture import GaussianMixture
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier


def naive_bayes(train: pa.Table, test: pa.Table, seed: int) -> float:
    return _classified(make_pipeline(CountVectorizer(min_df=2), MultinomialNB(alpha=0.1)), train, test)


def svm(train: pa.Table, test: pa.Table, seed: int) -> float:
    machine = CalibratedClassifierCV(LinearSVC(), ensemble=False)
    return _classified(make_pipeline(TfidfVectorizer(min_df=2, sublinear_tf=True), machine), train, test)


def decision_tree(train: pa.Table, test: pa.Table, seed: int) -> float:
    return _classified(_weighed(DecisionTreeClassifier(random_state=seed)), train, test)


def forest(train: pa.Table, test: pa.Table, seed: int) -> float:
    made = RandomForestClassifier(200, max_features=0.05, random_state=seed)
    return _classified(_weighed(made), train, test)


def kmeans(train: pa.Table, test: pa.Table, seed: int) -> float:
    return _grouped(_semantic(50, KMeans(10, n_init=10, random_state=seed), seed), train, test, _texts)


def mixture(train: pa.Table, test: pa.Table, seed: int) -> float:
    made = GaussianMixture(10, covariance_type="diag", reg_covar=1e-3, random_state=seed)
    return _grouped(_semantic(20, made, seed), train, test, _texts)


def row_kmeans(train: pa.Table, test: pa.Table, seed: int) -> float:
    return _grouped(make_pipeline(StandardScaler(), KMeans(3, n_init=10, random_state=seed)), train, test, _cells)


def row_mixture(train: pa.Table, test: pa.Table, seed: int) -> float:
    made = GaussianMixture(3, covariance_type="diag", reg_covar=1e-3, random_state=seed)
    return _grouped(make_pipeline(StandardScaler(), made), train, test, _cells)


def linear(train: pa.Table, test: pa.Table, seed: int) -> float:
    return _regressed(make_pipeline(StandardScaler(), LinearRegression()), train, test)


def boosting(train: pa.Table, test: pa.Table, seed: int) -> float:
    return _regressed(HistGradientBoostingRegressor(early_stopping=False, random_state=seed), train, test)


def _semantic(axes: int, last: Any, seed: int) -> Any:
    return make_pipeline(
        TfidfVectorizer(min_df=2, sublinear_tf=True), TruncatedSVD(axes, random_state=seed), Normalizer(), last
    )


def _classified(made: Any, train: pa.Table, test: pa.Table) -> float:
    said = made.fit(_texts(train), train["label"].to_pylist()).predict(_texts(test))
    true = test["label"].to_pylist()
    return float(f1_score(true, said, average="macro", labels=sorted(set(true))))


def _weighed(made: Any) -> Any:
    return make_pipeline(TfidfVectorizer(min_df=2), made)


def _grouped(made: Any, train: pa.Table, test: pa.Table, given: Any) -> float:
    return float(normalized_mutual_info_score(test["label"].to_pylist(), made.fit(given(train)).predict(given(test))))


def _regressed(made: Any, train: pa.Table, test: pa.Table) -> float:
    said = made.fit(_cells(train), _targets(train)).predict(_cells(test))
    return float(r2_score(_targets(test), said))


def _texts(rows: pa.Table) -> list[str]:
    texts: list[str] = rows["text"].to_pylist()
    return texts


def _cells(rows: pa.Table) -> np.ndarray:
    return np.array([list(row.values()) for row in rows["row"].to_pylist()], np.float64)


def _targets(rows: pa.Table) -> np.ndarray:
    return np.array(rows["label"].to_pylist(), np.float64)
