"""Losses and mixing against sums by hand, scipy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import log_softmax, rel_entr, softmax
from sklearn.metrics import log_loss

from petkit.losses import distillation_loss, fit_temperature, hinge_loss, label_loss, mix_losses, mix_scores, soft_labels

FINITE = st.floats(-30, 30, width=32)
SCORES = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=5), elements=FINITE)


# The label losses


def test_label_loss_by_hand() -> None:
    """-log of 3/4 and of 1/5, averaged."""
    scores = torch.tensor([[math.log(3.0), 0.0], [math.log(4.0), 0.0]])
    assert float(label_loss(scores, torch.tensor([0, 1]))) == pytest.approx((-math.log(0.75) - math.log(0.2)) / 2)


@given(SCORES)
def test_label_loss_is_the_log_loss_of_scikit_learn(scores: np.ndarray) -> None:
    (rows, labels), mild = scores.shape, scores / 3  # it cuts probabilities off at 2e-16
    truth = np.arange(rows) % labels
    wanted = log_loss(truth, softmax(mild.astype(np.float64), axis=1), labels=range(labels))
    assert float(label_loss(torch.from_numpy(mild), torch.from_numpy(truth))) == pytest.approx(wanted, rel=1e-3, abs=1e-4)


def test_hinge_loss_by_hand() -> None:
    """Row 0, label 1: 1 - 2 + 0 < 0 and 1 - 2 + 1.5 = 0.5. Row 1, label 0: 1 + 1 + 0 = 2 and 1 + 1 - 3 < 0. The mean is 1.25."""
    scores = torch.tensor([[0.0, 2.0, 1.5], [-1.0, 0.0, -3.0]])
    assert float(hinge_loss(scores, torch.tensor([1, 0]))) == pytest.approx((0.5 + 2.0) / 2)


def test_hinge_loss_is_zero_only_beyond_the_margin() -> None:
    right = torch.tensor([0])
    assert float(hinge_loss(torch.tensor([[0.0, -1.0, -5.0]]), right)) == 0
    assert float(hinge_loss(torch.tensor([[0.0, -0.9, -5.0]]), right)) == pytest.approx(0.1)


def test_hinge_loss_pulls_the_right_label_against_each_wrong_one_inside_the_margin() -> None:
    scores = torch.tensor([[0.0, 0.5, -5.0]], requires_grad=True)
    hinge_loss(scores, torch.tensor([0])).backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [[-1.0, 1.0, 0.0]]


@given(SCORES, FINITE)
def test_hinge_loss_depends_on_differences_only(scores: np.ndarray, shift: float) -> None:
    truth = torch.zeros(len(scores), dtype=torch.int64)
    one, other = (float(hinge_loss(torch.from_numpy(values), truth)) for values in (scores, scores + np.float32(shift)))
    assert one == pytest.approx(other, abs=1e-3)
    assert one >= 0


def test_label_losses_are_float32_from_half_precision_scores() -> None:
    scores = torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16)
    for loss in (label_loss, hinge_loss):
        assert loss(scores, torch.tensor([0])).dtype == torch.float32


def test_mixing_weighs_the_language_loss_by_a() -> None:
    """The paper's a; the original's flag means 1 - a (issue 30 there)."""
    assert float(mix_losses(torch.tensor(2.0), torch.tensor(10.0), weight=0.25)) == pytest.approx(0.75 * 2 + 0.25 * 10)
    assert float(mix_losses(torch.tensor(2.0), torch.tensor(10.0), weight=0.0)) == 2.0


# Distillation


@settings(max_examples=50)
@given(SCORES, st.floats(0.5, 5))
def test_distillation_loss_is_t_squared_times_scipys_divergence(teacher: np.ndarray, temperature: float) -> None:
    student = np.roll(teacher, 1, axis=1) / 3
    targets = soft_labels(teacher, temperature=temperature)
    divergence = rel_entr(targets.astype(np.float64), softmax(student.astype(np.float64) / temperature, axis=1)).sum(axis=1).mean()
    found = distillation_loss(torch.from_numpy(student), torch.from_numpy(targets), temperature=temperature)
    assert float(found) == pytest.approx(temperature**2 * divergence, rel=1e-4, abs=1e-4)


def test_distillation_pulls_like_cross_entropy_with_soft_targets() -> None:
    """The entropy of the targets has no gradient; T^2 undoes the 1 / T of softmax(logits / T) and the one of the targets."""
    rng = np.random.default_rng(0)
    targets = torch.from_numpy(soft_labels(rng.normal(size=(4, 3)), temperature=2.0))
    logits = torch.from_numpy(rng.normal(size=(4, 3)).astype(np.float32)).requires_grad_()
    (ours,) = torch.autograd.grad(distillation_loss(logits, targets, temperature=2.0), logits)
    (theirs,) = torch.autograd.grad(4 * torch.nn.functional.cross_entropy(logits / 2, targets), logits)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(ours, 2 * (torch.softmax(logits / 2, 1) - targets) / 4)


def test_distillation_from_certain_targets_is_cross_entropy() -> None:
    logits, truth = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 3.0]]), torch.tensor([2, 1])
    one_hot = torch.nn.functional.one_hot(truth, 3).float()
    torch.testing.assert_close(distillation_loss(logits, one_hot, temperature=1.0), label_loss(logits, truth))


def test_distillation_is_done_where_the_student_agrees() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5]])
    assert float(distillation_loss(logits, torch.softmax(logits / 2, 1), temperature=2.0)) == pytest.approx(0, abs=1e-6)


# Mixing


TWO = [np.array([[1.0, 2.0], [0.0, 4.0]], np.float32), np.array([[3.0, -2.0], [2.0, 0.0]], np.float32)]


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [
        ([1.0, 1.0], [[2.0, 0.0], [1.0, 2.0]]),
        ([0.75, 0.25], [[1.5, 1.0], [0.5, 3.0]]),
        ([0.6, 0.2], [[1.5, 1.0], [0.5, 3.0]]),
        ([0.0, 0.5], TWO[1].tolist()),
        ([0.0, 0.0], [[2.0, 0.0], [1.0, 2.0]]),
    ],
)
def test_scores_are_mixed_by_share_of_weight(weights: list[float], wanted: list[list[float]]) -> None:
    found = mix_scores(TWO, weights)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted)


def test_scores_and_weights_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="zip"):
        mix_scores(TWO[:1], [1.0, 1.0])


@given(hnp.arrays(np.float32, (3, 4, 2), elements=FINITE), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_mixed_scores_lie_between_the_members(members: np.ndarray, weights: list[float]) -> None:
    found = mix_scores(list(members), weights)
    assert (found >= members.min(axis=0) - 1e-4).all()
    assert (found <= members.max(axis=0) + 1e-4).all()


def test_soft_labels_by_hand() -> None:
    """Odds of 9 to 1 become 3 to 1 at T = 2."""
    found = soft_labels(np.array([[math.log(9.0), 0.0]], np.float32), temperature=2.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.75, 0.25]], rtol=1e-6)


@given(SCORES, st.floats(0.1, 10))
def test_soft_labels_are_distributions_in_the_order_of_the_scores(scores: np.ndarray, temperature: float) -> None:
    found = soft_labels(scores, temperature=temperature)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    best = found.argmax(axis=1)[:, None]
    np.testing.assert_allclose(np.take_along_axis(scores, best, 1)[:, 0], scores.max(axis=1), atol=1e-4)


def test_soft_labels_of_huge_scores_are_finite() -> None:
    assert soft_labels(np.array([[-5000.0, 5000.0]]), temperature=1.0).tolist() == [[0.0, 1.0]]


# Calibration


@pytest.mark.parametrize("known", [0.25, 1.0, 3.0, 8.0])
def test_a_known_temperature_is_found(known: float) -> None:
    logits = np.random.default_rng(1).normal(0, 2, (500, 4)).astype(np.float32)
    targets = softmax(logits.astype(np.float64) / known, axis=1)
    assert fit_temperature(logits, targets) == pytest.approx(known, rel=0.01)


def test_the_temperature_is_the_best_of_a_grid_for_hard_labels() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, (300, 3)).astype(np.float32)
    drawn = np.array([rng.choice(3, p=p) for p in softmax(logits / 4, axis=1)])
    targets = np.eye(3)[drawn]
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 400))
    costs = [-(targets * log_softmax(logits / t, axis=1)).sum(1).mean() for t in grid]
    assert fit_temperature(logits, targets) == pytest.approx(grid[int(np.argmin(costs))], rel=0.03)


def test_the_temperature_stays_within_its_bounds() -> None:
    logits, even = np.array([[9.0, -9.0]] * 3, np.float32), np.full((3, 2), 0.5)
    assert fit_temperature(logits, even) == pytest.approx(20, rel=0.01)
    assert fit_temperature(logits / 1000, np.array([[1.0, 0.0]] * 3)) == pytest.approx(0.05, rel=0.01)
