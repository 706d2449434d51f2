"""The baseline without a language model: TF-IDF and logistic regression, by scikit-learn."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, issparse
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from threadpoolctl import threadpool_limits

from petkit.metrics import evaluate
from petkit.pvp import Task
from petkit.rowfiles import save_scores
from petkit.rows import Rows
from petkit.stages import Stage
from petkit.units import UnitContext

__all__ = ["TfidfFeatures", "fit_logistic", "held_out_scores", "logistic_scores", "moot_warnings_ignored", "tfidf_scores", "tfidf_unit"]

_WORD = r"(?u)\b\w+\b"
_STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""C of logistic regression, ascending: the larger, the weaker the penalty."""
_LEAST = -30.0
"""The log-probability of a label that no labelled row has."""


def tfidf_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the baseline on the same labelled rows; record: ``test`` scores."""
    stage = Stage.of(spec, context)
    test = stage.rows("test")
    scores = tfidf_scores(stage.task, stage.rows("train"), stage.rows("pool"), test, seed=context.seed_for("tfidf"))
    save_scores(context.out / "test.parquet", test.ids, stage.task.labels, scores)
    return {"test": evaluate(test.labels, scores)}


def tfidf_scores(task: Task, train: Rows, pool: Rows, test: Rows, *, seed: int) -> npt.NDArray[np.float32]:
    """Log-probabilities (N, C) of the test rows. Words and pairs of words; idf from labelled rows and pool; C as in `fit_logistic`."""
    features = TfidfFeatures.fitted(task, [train, pool])
    model = fit_logistic(features(train), train.labels, seed=seed)
    return logistic_scores(model, features(test), labels=len(task.labels))


@dataclass(frozen=True)
class TfidfFeatures:
    """Texts as TF-IDF vectors."""

    task: Task
    vectorizer: Any

    @classmethod
    def fitted(cls, task: Task, parts: Sequence[Rows]) -> TfidfFeatures:
        """Words and pairs of words of these rows, whose labels play no part; where none has a word (emoji, marks), characters."""
        texts = [text for rows in parts for text in _texts(task, rows)]
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=_WORD)
        if not any(re.search(_WORD, text) for text in texts):
            vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
        return cls(task, vectorizer.fit(texts))

    def __call__(self, rows: Rows) -> Any:
        """(N, features) sparse float64."""
        if not len(rows):
            return csr_matrix((0, len(self.vectorizer.vocabulary_)))
        return self.vectorizer.transform(_texts(self.task, rows))


def _texts(task: Task, rows: Rows) -> list[str]:
    return [" ".join(task.classifier_texts(rows.row(i))) for i in range(len(rows))]


@contextmanager
def moot_warnings_ignored() -> Iterator[None]:
    """No warnings inside of many labels for the number of rows, which is what petkit is for, nor of a fit that stops at its last
    iteration: nobody can act on them. Others as ever."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%", category=UserWarning)
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        yield


def fit_logistic(features: Any, labels: Sequence[int], *, seed: int) -> Any:
    """Logistic regression with C by cross-validation over the rows (N, features) themselves; of a single class, the constant one.

    Of the C that are right most often it is the smallest whose answers for rows that it had not seen are not all of one label, or the
    largest if there is none: where calling everything by the most frequent label is as right, one that has learnt something is taken.
    Rows that are alone in their class cannot be validated on and are left out of it. Where fewer than two classes have several rows, C is
    1, or the largest if with 1 the model would call its own rows all by one label.

    Of sparse features only the columns that these rows use are looked at: the penalty leaves the weights of all others, which may be a
    million, at exactly 0.
    """
    if issparse(features):
        used = _used_columns(features)
        return _OfColumns(_fit(features[:, used], labels, seed=seed), used)
    return _fit(features, labels, seed=seed)


def _used_columns(features: Any) -> npt.NDArray[np.intp]:
    """Columns that are not 0 throughout; the first if all are, since a model needs one."""
    used = np.flatnonzero(features.getnnz(axis=0))
    return used if len(used) else np.zeros(1, dtype=np.intp)


@dataclass(frozen=True)
class _OfColumns:
    """A model of some of the columns, asked like one of all."""

    model: Any
    columns: npt.NDArray[np.intp]

    @property
    def classes_(self) -> Any:
        return self.model.classes_

    def predict_proba(self, features: Any) -> Any:
        return self.model.predict_proba(features[:, self.columns])


@moot_warnings_ignored()
def _fit(features: Any, labels: Sequence[int], *, seed: int) -> Any:
    truth = np.asarray(labels, dtype=np.int64)
    if len(np.unique(truth)) == 1:
        return DummyClassifier(strategy="prior").fit(features, truth)
    with threadpool_limits(1):  # such small products take several threads longer than one, on many processors ten times and more
        c = _validated(features, truth, seed=seed)
        model = _regression(c or 1.0).fit(features, truth)
        if c is None and _only_label(model.predict(features)) is not None:
            model = _regression(_STRENGTHS[-1]).fit(features, truth)
    return model


def _regression(c: float) -> Any:
    return LogisticRegression(C=c, max_iter=2000)


def _validated(features: Any, truth: npt.NDArray[np.int64], *, seed: int) -> float | None:
    """C by cross-validation over the rows whose class has several; None where fewer than two classes have."""
    counts = np.bincount(truth)
    several = np.flatnonzero(counts >= 2)
    if len(several) < 2:
        return None
    rows = np.flatnonzero(np.isin(truth, several))
    folds = StratifiedKFold(min(5, int(counts[several].min())), shuffle=True, random_state=seed % 2**32)
    search = GridSearchCV(_regression(1.0), {"C": list(_STRENGTHS)}, cv=folds, scoring=_judged, refit=False)
    return _chosen(search.fit(features[rows], truth[rows]).cv_results_, folds.get_n_splits())


def _judged(model: Any, features: Any, truth: npt.NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, and the label if all rows got the same, else -1."""
    found = model.predict(features)
    only = _only_label(found)
    return {"accuracy": float(accuracy_score(truth, found)), "only": -1 if only is None else only}


def _only_label(found: npt.NDArray[np.int64]) -> int | None:
    """The label of all rows; None if there are two."""
    return int(found[0]) if (found == found[0]).all() else None


def _chosen(found: Mapping[str, Any], folds: int) -> float:
    """The C that `fit_logistic` tells of, from scikit-learn's table of C by folds."""
    only = np.stack([found[f"split{fold}_test_only"] for fold in range(folds)])
    constant = (only[0] >= 0) & (only == only[0]).all(axis=0)
    best = np.flatnonzero(found["rank_test_accuracy"] == 1)
    learnt = best[~constant[best]]
    return _STRENGTHS[learnt[0] if len(learnt) else best[-1]]


def logistic_scores(model: Any, features: Any, *, labels: int) -> npt.NDArray[np.float32]:
    """Log-probabilities (N, C) float32, at least -30: so much has a label that the model never saw."""
    scores = np.full((features.shape[0], labels), _LEAST, dtype=np.float32)
    if features.shape[0]:
        with np.errstate(divide="ignore"):
            scores[:, model.classes_] = np.maximum(np.log(model.predict_proba(features)), _LEAST)
    return scores


def held_out_scores(features: Any, truth: Sequence[int], *, labels: int, seed: int, folds: int = 5) -> npt.NDArray[np.float32] | None:
    """Log-probabilities (N, C) of labelled rows, each by a model that has not seen it; None where a class has a single row.

    What a temperature may be fitted to without other labelled rows.
    """
    known = np.asarray(truth, dtype=np.int64)
    counts = np.bincount(known)
    smallest = int(counts[counts > 0].min())
    if smallest < 2:
        return None
    scores = np.empty((len(known), labels), dtype=np.float32)
    parts = StratifiedKFold(min(folds, smallest), shuffle=True, random_state=(seed + 1) % 2**32)
    for learned, held in parts.split(np.zeros(len(known)), known):
        model = fit_logistic(features[learned], known[learned].tolist(), seed=seed)
        scores[held] = logistic_scores(model, features[held], labels=labels)
    return scores
