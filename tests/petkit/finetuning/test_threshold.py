"""The null threshold against the published sweep written out naively, and against every threshold tried one by one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petkit.finetuning.exactmatch import answer_scores, best_f1
from petkit.finetuning.threshold import at_threshold, best_threshold, fit_threshold, threshold_story

GOLDS: list[list[str]] = [[], ["cat"], ["the old cat", "cat"], ["black dog"]]
ANSWERS = ["cat", "old cat", "a black cat", "dog", "bird"]
TIED = st.sampled_from([-3.0, -1.5, 0.0, 0.25, 2.0])
QUESTIONS = st.lists(st.tuples(TIED, st.sampled_from(ANSWERS), st.sampled_from(GOLDS)), min_size=1, max_size=14)
APART = st.lists(
    st.tuples(st.floats(-9, 9), st.sampled_from(ANSWERS), st.sampled_from(GOLDS)), min_size=1, max_size=14, unique_by=lambda one: one[0]
)


def asked(questions: Sequence[tuple[float | None, str, list[str]]]) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """(null difference, best span, right answers) of each question, as predictions and golds; a difference of None: no span at all."""
    predictions = [
        {"null_difference": difference, "n_best": [] if difference is None else [{"answer": answer, "start": 0}]}
        for difference, answer, _ in questions
    ]
    return predictions, [golds for _, _, golds in questions]


def f1_at(threshold: float, predictions: Sequence[dict[str, Any]], golds: Sequence[Sequence[str]]) -> float:
    found = answer_scores([at_threshold(one, threshold)["answer"] for one in predictions], golds)["f1"]
    return float(found)


def tried(predictions: Sequence[dict[str, Any]]) -> list[float]:
    """Thresholds for every way to part the questions: 0, each difference, between each two, below and above all."""
    places = sorted({one["null_difference"] for one in predictions if one["n_best"]} | {0.0})
    between = [(low + high) / 2 for low, high in pairwise(places)]
    return [*places, *between, places[0] - 1, places[-1] + 1]


def published(predictions: Sequence[dict[str, Any]], golds: Sequence[Sequence[str]]) -> tuple[float, float]:
    """``find_best_thresh`` of SQuAD 2.0's evaluation script: the best F1, 0 to 100, and its threshold."""
    score = best = float(sum(not right for right in golds))
    threshold = 0.0
    for one, right in sorted(zip(predictions, golds, strict=True), key=lambda pair: pair[0]["null_difference"]):
        answer = one["n_best"][0]["answer"]
        score += best_f1(answer, right) if right else -1 if answer else 0
        if score > best:
            best, threshold = score, one["null_difference"]
    return 100 * best / len(golds), threshold


def both_sorts(golds: Sequence[Sequence[str]]) -> bool:
    return 0 < sum(bool(right) for right in golds) < len(golds)


@given(APART)
def test_the_best_f1_is_that_of_the_published_sweep(questions: list[tuple[float, str, list[str]]]) -> None:
    predictions, golds = asked(questions)
    if not both_sorts(golds):
        return
    found, (best, threshold) = fit_threshold(predictions, golds), published(predictions, golds)
    assert found["after"]["f1"] == pytest.approx(best)
    if f1_at(threshold, predictions, golds) == pytest.approx(best):  # theirs is 0 where it means that nothing is answered
        assert abs(found["value"]) <= abs(threshold)


@given(st.one_of(QUESTIONS, APART))
def test_no_other_threshold_is_better_nor_is_a_candidate_as_good_nearer_0(questions: list[tuple[float, str, list[str]]]) -> None:
    predictions, golds = asked(questions)
    if not both_sorts(golds):
        return
    found = fit_threshold(predictions, golds)
    scores = {threshold: f1_at(threshold, predictions, golds) for threshold in tried(predictions)}
    assert found["after"]["f1"] == pytest.approx(max(scores.values()))
    assert found["before"]["f1"] == scores[0.0]
    nearer = [t for t in (0.0, *(one["null_difference"] for one in predictions)) if abs(t) < abs(found["value"])]
    assert all(scores[threshold] < found["after"]["f1"] for threshold in nearer)


@pytest.mark.parametrize(
    ("questions", "value"),
    [
        ([(2.0, "cat", ["cat"]), (3.0, "cat", [])], 2.0),  # one to be answered, up to there
        ([(-2.0, "cat", ["cat"]), (-1.0, "cat", [])], -2.0),
        ([(1.0, "dog", ["cat"]), (2.0, "cat", [])], 0.0),  # nothing is won by an answer: 0 gives none
        ([(-2.0, "cat", []), (-1.0, "dog", ["cat"])], float(np.nextafter(-2.0, -np.inf))),  # nothing should be answered
        ([(1.0, "cat", ["cat"]), (1.0, "cat", []), (2.0, "cat", ["cat"])], 2.0),  # no threshold parts the first two
        ([(-1.0, "cat", ["cat"]), (1.0, "cat", []), (1.0, "cat", ["cat"])], 0.0),  # as good as 1
        ([(-4.0, "cat", ["cat"]), (-1.0, "cat", []), (-1.0, "bird", []), (4.0, "cat", ["cat"]), (4.0, "cat", ["cat"])], 4.0),  # and -4
        ([(None, "", ["cat"]), (1.0, "cat", ["cat"]), (2.0, "cat", [])], 1.0),  # one has no span, whatever the threshold
        ([(3.0, "the", []), (2.0, "cat", ["cat"]), (1.0, "a", [])], 2.0),  # nothing is left of "the": no answer either way
        ([(None, "", ["cat"]), (None, "", [])], 0.0),
    ],
)
def test_thresholds_by_hand(questions: list[tuple[float | None, str, list[str]]], value: float) -> None:
    predictions, golds = asked(questions)
    found = fit_threshold(predictions, golds)
    assert (found["value"], found["fitted"]) == (value, True)
    assert found["after"]["f1"] == f1_at(value, predictions, golds)
    assert all(f1_at(threshold, predictions, golds) <= found["after"]["f1"] for threshold in tried(predictions))


def test_of_two_as_near_the_positive_one_is_taken() -> None:
    differences, answered, unanswered = np.array([-1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
    assert best_threshold(differences, answered, unanswered) == 1.0


@pytest.mark.parametrize(("golds", "count"), [([["cat"], ["dog"]], 2), ([[], []], 0)])
def test_questions_of_one_sort_decide_nothing(golds: list[list[str]], count: int) -> None:
    predictions, _ = asked([(-1.0, "cat", []), (5.0, "dog", [])])
    found = fit_threshold(predictions, golds)
    assert (found["value"], found["fitted"], found["questions"], found["answerable"]) == (0.0, False, 2, count)
    assert found["before"] == found["after"]
    assert threshold_story(found).startswith(f"the null threshold stays 0: of 2 development questions {count} have an answer")


def test_the_story_has_the_scores_before_and_after() -> None:
    found = fit_threshold(*asked([(2.0, "cat", ["cat"]), (3.0, "cat", [])]))
    told = "null threshold fitted on 2 development questions, 0 -> 2: F1 50 -> 100, exact match 50 -> 100"
    assert threshold_story(found) == told
