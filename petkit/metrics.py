"""Scores of predictions, by scikit-learn; calibration by its definition.

Letters: N rows, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, matthews_corrcoef, precision_recall_fscore_support

from petkit.rows import UNLABELED

__all__ = ["BINS", "LOWER_IS_BETTER", "accuracy", "brier", "calibration_error", "evaluate", "log_loss", "reliability", "scaled", "score"]

BINS: Final = 15
"""Bins of confidence (Guo et al. 2017, section 5, arXiv 1706.04599)."""

LOWER_IS_BETTER: Final = frozenset({"log_loss", "brier", "ece", "ece_scaled"})

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]


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


def score(
    probabilities: Float, truth: Int, labels: Sequence[str], *, temperature: float | None = None, temperature_from: str | None = None
) -> dict[str, Any]:
    """All metrics of a cell: the object ``test`` of petkit/report/schema/study.schema.json.

    Precision, recall and F1 are 0 where they are undefined, and so is Matthews' correlation (as in scikit-learn).

    Args:
        probabilities: (N, C) float64, rows sum to one. Where every row is a 0 and 1 vote there are no probabilities: what is said of
            them is null.
        truth: (N,) int64, every row labelled.
        temperature: by which log-probabilities are divided for the values that end in ``_scaled``; None: those are null. It must
            not have been fitted on these rows; ``temperature_from`` says on which it was.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape != (len(truth), len(labels)) or not len(truth):
        raise ValueError(f"{len(truth)} rows and {len(labels)} labels need probabilities of that shape, not {p.shape}")
    voted = bool(np.isin(p, (0.0, 1.0)).all())
    rescaled = None if temperature is None or voted else scaled(p, temperature)
    before, after = _calibration(None if voted else p, truth), _calibration(rescaled, truth)
    return {
        **_decisions(p.argmax(axis=1), np.asarray(truth, dtype=np.int64), labels),
        **before,
        "temperature": None if rescaled is None else temperature,
        "temperature_from": None if rescaled is None else temperature_from,
        **{f"{name}_scaled": value for name, value in after.items()},
    }


def _decisions(predicted: Int, truth: Int, labels: Sequence[str]) -> dict[str, Any]:
    """What the chosen labels alone tell."""
    places = list(range(len(labels)))
    columns = precision_recall_fscore_support(truth, predicted, labels=places, zero_division=0)
    precision, recall, f1, support = (np.asarray(column).tolist() for column in columns)
    several = len(np.unique(truth)) > 1 and len(np.unique(predicted)) > 1
    return {
        "rows": len(truth),
        "accuracy": float((predicted == truth).mean()),
        "macro_f1": float(np.mean(f1)),
        "mcc": float(np.clip(matthews_corrcoef(truth, predicted), -1, 1)) if several else 0.0,
        "per_class": [
            {"label": name, "precision": p, "recall": r, "f1": f, "support": s}
            for name, p, r, f, s in zip(labels, precision, recall, f1, support, strict=True)
        ],
        "confusion": confusion_matrix(truth, predicted, labels=places).tolist(),
    }


def _calibration(probabilities: Float | None, truth: Int) -> dict[str, Any]:
    """What the probabilities tell; null without them."""
    if probabilities is None:
        return dict.fromkeys(("log_loss", "brier", "ece", "reliability"))
    bins = reliability(probabilities, truth)
    return {
        "log_loss": log_loss(probabilities, truth),
        "brier": brier(probabilities, truth),
        "ece": calibration_error(bins),
        "reliability": bins,
    }


def scaled(probabilities: Float, temperature: float) -> Float:
    """softmax(log p / T) over labels: (N, C) -> (N, C) float64 (Guo et al. 2017, section 4.2). A probability of 0 stays 0.

    The same as dividing the logits, which differ from log p by a constant in each row.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(probabilities)
    return np.asarray(np.exp(log_softmax(logs / temperature, axis=1)), dtype=np.float64)


def log_loss(probabilities: Float, truth: Int) -> float:
    """Mean of -log p(true label), in nats. A probability below 2.2e-16 counts as that, as in scikit-learn: no loss is infinite."""
    right = probabilities[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(right, np.finfo(np.float64).eps)).mean())


def brier(probabilities: Float, truth: Int) -> float:
    """Mean over rows of sum over labels of (p - one-hot)^2 (Brier 1950): 0 to 2. With two labels it is twice the one-sided form."""
    return float(((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(axis=1).mean())


def reliability(probabilities: Float, truth: Int, *, bins: int = BINS) -> list[dict[str, Any]]:
    """Rows by the probability of the chosen label, in ``bins`` equal intervals (lower, upper] of 0 to 1 (Guo et al. 2017, section 2).

    Each has ``lower``, ``upper``, ``count``, mean ``confidence`` and ``accuracy``; the last two are None where nothing fell.
    """
    confidence, right = probabilities.max(axis=1).clip(0, 1), probabilities.argmax(axis=1) == truth
    edges = np.arange(bins + 1) / bins
    place = np.digitize(confidence, edges[1:-1], right=True)
    found = []
    for k in range(bins):
        inside = place == k
        known = bool(inside.any())
        found.append(
            {
                "lower": float(edges[k]),
                "upper": float(edges[k + 1]),
                "count": int(inside.sum()),
                "confidence": float(confidence[inside].mean()) if known else None,
                "accuracy": float(right[inside].mean()) if known else None,
            }
        )
    return found


def calibration_error(bins: Sequence[dict[str, Any]]) -> float:
    """Expected calibration error: the mean over rows of ``|accuracy - confidence|`` of their bin (Guo et al. 2017, equation 3)."""
    rows = sum(one["count"] for one in bins)
    return float(sum(one["count"] * abs(one["accuracy"] - one["confidence"]) for one in bins if one["count"]) / rows)
