"""Metrics against scikit-learn, by hand and on constructed cases."""

from __future__ import annotations

import json
from importlib import resources

import jsonschema
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from petkit.metrics import accuracy, brier, calibration_error, evaluate, reliability, scaled, score
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


LABELS = ["a", "b", "c"]


def drawn(rows: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet([0.5] * 3, rows), rng.integers(0, 3, rows)


def test_score_is_what_scikit_learn_finds() -> None:
    p, truth = drawn()
    predicted = p.argmax(axis=1)
    found = score(p, truth, LABELS)
    assert found["rows"] == 60
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(truth, predicted))
    assert found["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(truth, predicted, average="macro"))
    assert found["mcc"] == pytest.approx(sklearn.metrics.matthews_corrcoef(truth, predicted))
    assert found["log_loss"] == pytest.approx(sklearn.metrics.log_loss(truth, p, labels=[0, 1, 2]))
    assert found["confusion"] == sklearn.metrics.confusion_matrix(truth, predicted).tolist()
    expected = sklearn.metrics.precision_recall_fscore_support(truth, predicted)
    for k, name in enumerate(("precision", "recall", "f1", "support")):
        assert [one[name] for one in found["per_class"]] == pytest.approx(expected[k].tolist())
    assert [one["label"] for one in found["per_class"]] == LABELS


def test_score_fits_the_schema() -> None:
    schema = json.loads((resources.files("petkit") / "report/schema/study.schema.json").read_text("utf-8"))
    part = {"$ref": "#/$defs/test", "$defs": schema["$defs"]}
    p, truth = drawn()
    votes = np.eye(3)[p.argmax(axis=1)]
    for found in (score(p, truth, LABELS), score(votes, truth, LABELS), score(p, truth, LABELS, temperature=2, temperature_from="pool")):
        jsonschema.validate(json.loads(json.dumps(found, allow_nan=False)), part)


def test_brier_is_scikit_learns_twice_with_two_labels() -> None:
    rng = np.random.default_rng(1)
    right, truth = rng.random(50), rng.integers(0, 2, 50)
    one_sided = sklearn.metrics.brier_score_loss(truth, right)
    assert brier(np.stack([1 - right, right], axis=1), truth) == pytest.approx(2 * one_sided)


def test_brier_by_hand() -> None:
    """(0.7 - 1)^2 + 0.2^2 + 0.1^2 = 0.14."""
    assert brier(np.array([[0.7, 0.2, 0.1]]), np.array([0])) == pytest.approx(0.14)


def test_calibration_error_on_a_constructed_case() -> None:
    """Ten rows at 0.9, of which six are right, and ten at 0.6, of which six are right: (0.3 + 0.0) / 2."""
    p = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    truth = np.array([0] * 6 + [1] * 4 + [0] * 6 + [1] * 4)
    bins = reliability(p, truth)
    assert calibration_error(bins) == pytest.approx(0.15)
    known = [(one["count"], one["confidence"], one["accuracy"]) for one in bins if one["count"]]
    assert known == [(10, pytest.approx(0.6), pytest.approx(0.6)), (10, pytest.approx(0.9), pytest.approx(0.6))]


def test_bins_are_fifteen_and_hold_their_upper_end() -> None:
    """A confidence of 10/15 lies in (9/15, 10/15]; 1 in the last."""
    bins = reliability(np.array([[10 / 15, 5 / 15], [1.0, 0.0]]), np.array([0, 0]))
    assert [one["count"] for one in bins] == [0] * 9 + [1] + [0] * 4 + [1]
    assert (bins[0]["lower"], bins[-1]["upper"], len(bins)) == (0.0, 1.0, 15)


def test_errors_in_a_bin_cancel_out_but_not_between_bins() -> None:
    """Calibration is of bins: one row right and one wrong at 0.5 of two labels is perfect."""
    assert calibration_error(reliability(np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1]))) == 0


@given(st.integers(0, 1000), st.floats(0.1, 5))
def test_temperature_divides_logits(seed: int, temperature: float) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (4, 3))
    assert scaled(softmax(logits, axis=1), temperature) == pytest.approx(softmax(logits / temperature, axis=1))


def test_scaling_leaves_decisions_and_no_probability_of_0_becomes_nan() -> None:
    p, truth = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.7, 0.1]]), np.array([1, 0, 1])
    found = score(p, truth, LABELS, temperature=2.0, temperature_from="cross-validation")
    assert scaled(p, 2.0)[:2] == pytest.approx(p[:2])
    assert found["log_loss"] == pytest.approx((-np.log(np.finfo(float).eps) - np.log(0.5) - np.log(0.7)) / 3)
    assert (found["temperature"], found["temperature_from"]) == (2.0, "cross-validation")
    assert found["brier_scaled"] == pytest.approx(brier(scaled(p, 2.0), truth))
    assert found["reliability_scaled"] == reliability(scaled(p, 2.0), truth)


def test_the_right_temperature_mends_the_calibration() -> None:
    """Truth drawn from softmax(z), said with softmax(3 z): T = 3 brings it back."""
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 1.5, (4000, 3))
    truth = np.array([rng.choice(3, p=p) for p in softmax(logits, axis=1)])
    found = score(softmax(3 * logits, axis=1), truth, LABELS, temperature=3.0, temperature_from="pool")
    assert found["ece"] > 0.1
    assert found["ece_scaled"] < 0.03
    assert found["log_loss_scaled"] < found["log_loss"]
    assert found["brier_scaled"] < found["brier"]


def test_without_temperature_nothing_is_scaled() -> None:
    found = score(*drawn(), LABELS)
    assert [found[f"{name}_scaled"] for name in ("ece", "log_loss", "brier", "reliability")] == [None] * 4
    assert (found["temperature"], found["temperature_from"]) == (None, None)


def test_votes_are_no_probabilities() -> None:
    found = score(np.eye(2)[[0, 1, 1]], np.array([0, 1, 0]), ["a", "b"], temperature=2.0, temperature_from="pool")
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert {name: found[name] for name in ("log_loss", "brier", "ece", "reliability", "ece_scaled", "temperature")} == dict.fromkeys(
        ("log_loss", "brier", "ece", "reliability", "ece_scaled", "temperature")
    )


def test_one_class_only_gives_no_warning_and_no_nan() -> None:
    """Labels that are nowhere count as 0, and so does a correlation that is not defined."""
    found = score(np.tile([0.6, 0.3, 0.1], (5, 1)), np.zeros(5, dtype=np.int64), LABELS)
    assert (found["accuracy"], found["mcc"], found["macro_f1"]) == (1.0, 0.0, pytest.approx(1 / 3))
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("shape", [(0, 3), (4, 2), (5, 3)])
def test_score_refuses_what_does_not_fit(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="need probabilities of that shape"):
        score(np.full(shape, 1 / 3), np.zeros(0 if shape[0] == 0 else 4, dtype=np.int64), LABELS)
