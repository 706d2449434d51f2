"""Scores of predictions, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, f1_score

from petkit.rows import UNLABELED

__all__ = ["accuracy", "evaluate"]


def evaluate(labels: Sequence[int], scores: npt.NDArray[np.floating]) -> dict[str, float] | None:
    """``accuracy`` and ``macro_f1`` (all labels counted, 0 for one never predicted nor present) of the largest score (N, C).

    None if no row has a label; rows without one do not count.
    """
    truth = np.asarray(labels, dtype=np.int64)
    known = truth != UNLABELED
    if not known.any():
        return None
    predicted = scores.argmax(axis=1)[known]
    macro = f1_score(truth[known], predicted, labels=list(range(scores.shape[1])), average="macro", zero_division=0)
    return {"accuracy": float(accuracy_score(truth[known], predicted)), "macro_f1": float(macro)}


def accuracy(labels: Sequence[int], scores: npt.NDArray[np.floating]) -> float | None:
    """Accuracy alone; None if no row has a label."""
    found = evaluate(labels, scores)
    return None if found is None else found["accuracy"]
