"""The baseline without a language model: TF-IDF and logistic regression, by scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from petkit.metrics import evaluate
from petkit.pvp import Task
from petkit.rowfiles import save_scores
from petkit.rows import Rows
from petkit.stages import Stage
from petkit.units import UnitContext

__all__ = ["tfidf_scores", "tfidf_unit"]


def tfidf_unit(spec: dict[str, Any], context: UnitContext) -> dict[str, Any]:
    """Stage: the baseline on the same labelled rows; record: ``test`` scores."""
    stage = Stage.of(spec, context)
    test = stage.rows("test")
    scores = tfidf_scores(stage.task, stage.rows("train"), stage.rows("pool"), test, seed=context.seed_for("tfidf"))
    save_scores(context.out / "test.parquet", test.ids, stage.task.labels, scores)
    return {"test": evaluate(test.labels, scores)}


def tfidf_scores(task: Task, train: Rows, pool: Rows, test: Rows, *, seed: int) -> npt.NDArray[np.float32]:
    """Log-probabilities (N, C) of the test rows. Words and pairs of words; idf from labelled rows and pool; C by cross-validation.

    With fewer than two labelled rows in some class there is nothing to validate on, and C is 1.
    """
    parts = {"train": train, "pool": pool, "test": test}
    texts = {part: [" ".join(task.classifier_texts(rows.row(i))) for i in range(len(rows))] for part, rows in parts.items()}
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b").fit(texts["train"] + texts["pool"])
    labels = np.asarray(train.labels)
    smallest = int(np.bincount(labels).min()) if len(labels) else 0
    model: Any = LogisticRegression(max_iter=2000)
    if smallest >= 2:
        folds = StratifiedKFold(min(5, smallest), shuffle=True, random_state=seed % 2**32)
        model = GridSearchCV(model, {"C": [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]}, cv=folds)
    model.fit(vectorizer.transform(texts["train"]), labels)
    scores = np.full((len(test), len(task.labels)), -30.0, dtype=np.float32)
    if len(test):
        found = np.maximum(model.predict_log_proba(vectorizer.transform(texts["test"])), -30.0)
        scores[:, model.classes_] = found
    return scores
