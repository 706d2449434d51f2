"""Accuracy and macro-F1 by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petkit.metrics import accuracy, evaluate
from petkit.rows import UNLABELED


def scores_for(predicted: list[int], labels: int) -> np.ndarray:
    return np.eye(labels, dtype=np.float32)[predicted] - 3


def test_scores_by_hand() -> None:
    """Label 0: precision 1/2, recall 1. Label 1: precision 1, recall 1/2. F1 is 2/3 for both."""
    assert evaluate([0, 1, 1], scores_for([0, 0, 1], 2)) == pytest.approx({"accuracy": 2 / 3, "macro_f1": 2 / 3})


def test_a_label_that_is_nowhere_counts_as_zero() -> None:
    """The mean is over the task's three labels, so that no label can be forgotten."""
    assert evaluate([0, 1], scores_for([0, 1], 3)) == pytest.approx({"accuracy": 1.0, "macro_f1": 2 / 3})


def test_rows_without_a_label_do_not_count() -> None:
    assert evaluate([0, UNLABELED, 1], scores_for([0, 1, 1], 2)) == {"accuracy": 1.0, "macro_f1": 1.0}
    assert accuracy([0, UNLABELED, 1], scores_for([1, 1, 1], 2)) == 0.5


@pytest.mark.parametrize("labels", [[], [UNLABELED, UNLABELED]])
def test_without_labels_nothing_is_known(labels: list[int]) -> None:
    scores = scores_for([0] * len(labels), 2)
    assert evaluate(labels, scores) is None
    assert accuracy(labels, scores) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_scores_are_the_definition(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = [list(column) for column in zip(*pairs, strict=True)]
    found = evaluate(truth, scores_for(predicted, 4))
    assert found is not None
    f1 = []
    for label in range(4):
        hits = sum(t == p == label for t, p in pairs)
        wrong = truth.count(label) + predicted.count(label)
        f1.append(2 * hits / wrong if wrong else 0.0)
    assert found["accuracy"] == pytest.approx(sum(t == p for t, p in pairs) / len(pairs))
    assert found["macro_f1"] == pytest.approx(sum(f1) / 4)
