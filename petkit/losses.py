"""Losses, soft labels and their mixing: pure functions in float32.

Letters: B batch, C labels, M members, N rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from torch import Tensor

__all__ = [
    "distillation_loss",
    "fit_temperature",
    "hinge_loss",
    "label_loss",
    "mix_losses",
    "mix_scores",
    "soft_labels",
]

Float = npt.NDArray[np.float32]


def label_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of softmax(scores): scores (B, C) floating, labels (B,) int64 -> scalar.

    For verbalizers whose words are all one token (Schick & Schütze 2021a, section 3.1). Label words compete with each other only,
    not with the rest of the vocabulary.
    """
    return F.cross_entropy(scores.float(), labels)


def hinge_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Sum over wrong labels of max(0, 1 - s(right) + s(wrong)), mean over rows: scores (B, C), labels (B,) -> scalar.

    For words of several tokens, whose scores log q~ do not sum to one over labels (Schick & Schütze 2021b, section 3.1), so that
    cross-entropy does not apply.
    """
    scores = scores.float()
    right = scores.gather(1, labels[:, None])
    margins = (1.0 - right + scores).clamp_min(0.0)
    return (margins.sum(dim=1) - margins.gather(1, labels[:, None])[:, 0]).mean()


def mix_losses(label: Tensor, language: Tensor, *, weight: float) -> Tensor:
    """(1 - a) L_label + a L_MLM (Schick & Schütze 2021a, section 3.2; a = 1e-4 there). The original's flag is 1 - a."""
    return (1.0 - weight) * label + weight * language


def distillation_loss(logits: Tensor, targets: Tensor, *, temperature: float) -> Tensor:
    """T^2 KL(targets || softmax(logits / T)), mean over rows (Hinton et al. 2015, section 2, arXiv 1503.02531).

    Args:
        logits: (B, C) floating. targets: (B, C) soft labels, already at temperature T; rows sum to one.

    Differs from cross-entropy with soft targets by their entropy, which has no gradient, and by T^2, which keeps the
    gradient's size across temperatures.
    """
    log_q = F.log_softmax(logits.float() / temperature, dim=-1)
    return temperature**2 * F.kl_div(log_q, targets.float(), reduction="batchmean")


def mix_scores(scores: Sequence[npt.NDArray[np.floating]], weights: Sequence[float]) -> Float:
    """sum_M w(M) s_M / sum_M w(M): M arrays (N, C) -> (N, C) float32 (Schick & Schütze 2021a, section 3.3).

    If every weight is 0 the mean is uniform.
    """
    w = np.asarray(weights, dtype=np.float64)
    w = w if w.sum() > 0 else np.ones_like(w)
    total = np.zeros(scores[0].shape, dtype=np.float64)
    for weight, member in zip(w / w.sum(), scores, strict=True):
        total += weight * member
    return total.astype(np.float32)


def soft_labels(scores: npt.NDArray[np.floating], *, temperature: float) -> Float:
    """softmax(s / T) over labels: (N, C) -> (N, C) float32."""
    return np.asarray(softmax(scores.astype(np.float64) / temperature, axis=-1), dtype=np.float32)


def fit_temperature(logits: npt.NDArray[np.floating], targets: npt.NDArray[np.floating]) -> float:
    """The T in 0.05..20 with the least cross-entropy of softmax(logits / T) against targets.

    Temperature scaling (Guo et al. 2017, section 4.2, arXiv 1706.04599) with soft labels in the place of true ones.

    Args:
        logits, targets: (N, C); targets are distributions.
    """
    z, p = logits.astype(np.float64), targets.astype(np.float64)

    def cost(log_temperature: float) -> float:
        return float(-(p * log_softmax(z / np.exp(log_temperature), axis=-1)).sum(axis=-1).mean())

    return float(np.exp(minimize_scalar(cost, bounds=(np.log(0.05), np.log(20.0)), method="bounded").x))
