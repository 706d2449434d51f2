"""From which null score on a question has no answer: decided by a threshold, which development questions can fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from petkit.finetuning.exactmatch import answer_scores, best_f1
from petkit.finetuning.kind import Prediction
from petkit.wording import many, verb

__all__ = ["DEFAULT", "at_threshold", "best_threshold", "fit_threshold", "threshold_story"]

DEFAULT: Final = 0.0
"""The threshold where none is given and none can be fitted: no answer as soon as the null score is above the best span's."""

_SAME: Final = 1e-9
"""Sums of F1 no further apart are the same: what is left is rounding."""

Float = NDArray[np.float64]


def at_threshold(prediction: Prediction, threshold: float) -> Prediction:
    """The prediction for a question, ``answer`` and ``start`` as the threshold decides: none where ``null_difference`` is above it.

    >>> one = {"null_difference": 0.5, "n_best": [{"answer": "Paris", "start": 3}]}
    >>> at_threshold(one, 0.5)["answer"], at_threshold(one, 0.4)["answer"]
    ('Paris', '')
    """
    if not prediction["n_best"] or prediction["null_difference"] > threshold:
        return {**prediction, "answer": "", "start": None}
    best = prediction["n_best"][0]
    return {**prediction, "answer": best["answer"], "start": best["start"]}


def best_threshold(differences: Float, answered: Float, unanswered: Float) -> float:
    """The threshold with the largest mean score: the sweep of SQuAD 2.0's evaluation script (``best_f1_thresh`` there) in one pass.

    Candidates are 0, each question's difference, and the next number below all of them, by which no question has an answer. Of
    those that score the same, that nearest 0 is taken; of two as near, the positive one.

    Differs from the script in three corners. There questions of the same difference are passed one by one, though no threshold parts
    them; here together. There the threshold by which nothing is answered is called 0, whatever 0 does. And there an answer to a
    question that has none costs 1 even if nothing is left of it when normalised; here the scores alone count.

    Args:
        differences: (N,) float64, the null score minus the best span's, in logits.
        answered: (N,) float64, the score of each question if its best span is the answer, F1 from 0 to 1 say.
        unanswered: (N,) float64, the same if it has no answer.

    Source: Rajpurkar et al. 2018 (SQuAD 2.0), its published evaluation script, ``find_best_thresh``.

    >>> best_threshold(np.array([-2.0, 1.0, 3.0]), np.array([1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    1.0
    """
    if not len(differences):
        return DEFAULT
    order = np.argsort(differences)
    passed = differences[order]
    totals = np.concatenate([[0.0], np.cumsum((answered - unanswered)[order])])
    candidates = np.concatenate([[DEFAULT, np.nextafter(passed[0], -np.inf)], passed])
    found = totals[np.searchsorted(passed, candidates, side="right")]
    best = candidates[found >= found.max() - _SAME]
    return float(best[np.lexsort((-best, np.abs(best)))[0]])


def fit_threshold(predictions: Sequence[Prediction], golds: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Fit the threshold on N questions to their mean F1. What all of them have, an answer or none, decides nothing: then it stays 0.

    Args:
        predictions: of each question ``null_difference`` (logits; None where there is no span) and ``n_best``, best first.
        golds: the right answers of each; none: it has no answer.

    Returns: ``value``, the threshold; ``fitted``, whether it could be; ``questions`` and ``answerable``, how many; ``before`` and
    ``after``: ``exact_match`` and ``f1``, 0 to 100, at 0 and at ``value``.
    """
    answerable = sum(bool(right) for right in golds)
    fitted = 0 < answerable < len(golds)
    swept = [(one, right) for one, right in zip(predictions, golds, strict=True) if one["n_best"]]
    differences = np.array([one["null_difference"] for one, _ in swept], dtype=np.float64)
    answered = np.array([best_f1(one["n_best"][0]["answer"], right) for one, right in swept], dtype=np.float64)
    unanswered = np.array([best_f1("", right) for _, right in swept], dtype=np.float64)
    value = best_threshold(differences, answered, unanswered) if fitted else DEFAULT
    before, after = (_scores_at(threshold, predictions, golds) for threshold in (DEFAULT, value))
    return {"value": value, "fitted": fitted, "questions": len(golds), "answerable": answerable, "before": before, "after": after}


def _scores_at(threshold: float, predictions: Sequence[Prediction], golds: Sequence[Sequence[str]]) -> dict[str, float]:
    scores = answer_scores([at_threshold(one, threshold)["answer"] for one in predictions], golds)
    return {name: scores[name] for name in ("exact_match", "f1")}


def threshold_story(found: Mapping[str, Any]) -> str:
    """What ``fit_threshold`` gave, in words.

    >>> scores = {"exact_match": 50.0, "f1": 50.0}
    >>> threshold_story({"value": 0.0, "fitted": False, "questions": 9, "answerable": 0, "before": scores, "after": scores})
    'the null threshold stays 0: of 9 development questions 0 have an answer, and fitting it takes both sorts'
    """
    questions, answerable = many(found["questions"], "development question"), found["answerable"]
    if not found["fitted"]:
        have = verb(answerable, "have")
        return f"the null threshold stays 0: of {questions} {answerable} {have} an answer, and fitting it takes both sorts"
    before, after = found["before"], found["after"]
    figures = ", ".join(f"{name} {before[key]:.4g} -> {after[key]:.4g}" for name, key in (("F1", "f1"), ("exact match", "exact_match")))
    return f"null threshold fitted on {questions}, 0 -> {found['value']:.4g}: {figures}"
